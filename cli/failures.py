"""spocdb failures."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from . import options
from .output import print_csv, print_json_list, print_pages, talk
from .translation import in_commands

if TYPE_CHECKING:
    from spocdb.api import Database
    from spocdb.api.shards import Shards
    from spocdb.db.runs import Failure


def failures(
    collection: options.Collection = None,
    json: options.Json = False,
    as_csv: options.Csv = False,
    db: options.Db = None,
) -> None:
    """List the images that could not be stored, and why."""
    options.one_format(json, as_csv)
    with options.open_all(db) as database:
        found = (
            replace(failure, message=in_commands(failure.message))
            for failure in database.failures(collection)
        )
        if json:
            print_json_list(found)
        elif as_csv:
            _print_csv(found, _path_or_key(database, collection))
        else:
            header = ["collection", "reason", _path_or_key(database, collection), "message"]
            rows = ([f.collection, f.reason, f.path, f.message] for f in found)
            if not print_pages(header, rows):
                talk("no failures")


def _print_csv(found: "Iterator[Failure]", path: str) -> None:
    rows = ([f.collection, f.reason, f.path, f.message, f.failed_at] for f in found)
    print_csv(["collection", "reason", path, "message", "failed_at"], rows)


def _path_or_key(database: "Database | Shards", collection: str | None) -> str:
    """Return what an image is called in the collections that have failures."""
    having = [one.name for one in database.collections() if one.n_failures]
    names = {options.named_by(database, name) for name in ([collection] if collection else having)}
    return " or ".join(sorted(names)) or "path"
