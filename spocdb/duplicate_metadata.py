"""Metadata of near-duplicates: keepers take over what they lack, and nothing is overwritten."""

from collections.abc import Sequence

from spocdb.db import attachments, duplicate_groups, metadata
from spocdb.db import duplicate_metadata as stored
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.duplicate_metadata import MetadataOffer
from spocdb.errors import ConfigError


def take_over(
    connection: Connection, collection: Collection, keys: Sequence[str], *, dry_run: bool
) -> list[MetadataOffer]:
    """Give keepers the metadata that they lack and their duplicates have; a page is a transaction.

    Without `keys` all are taken over. Return also the values that stay where they are, because the
    keeper has others.

    Raises:
        DuplicatesNotFound: Duplicates were not looked for.
        ConfigError: The collection is of an attached table.
    """
    if table := attachments.find(connection, collection):
        raise ConfigError(
            f"collection {collection.name} has its metadata from columns of {table.relation}: "
            "change the rows of that table"
        )
    duplicate_groups.check(connection, collection)
    metadata.explain(connection, collection, [[[key], "exists", True] for key in keys], 0)
    found, after, n = list[MetadataOffer](), 0, duplicate_groups.PAGE
    while last := stored.last_keeper(connection, collection, after, n):
        with connection.transaction():
            page = stored.offers(connection, collection, after, n, keys)
            if not dry_run:
                stored.take(connection, page)
        found += page
        after = last
    return found
