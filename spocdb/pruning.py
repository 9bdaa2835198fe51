"""Pruning: delete images whose source is gone, and refuse to if a whole path is gone."""

from collections.abc import Sequence
from dataclasses import dataclass

from spocdb.db import archives, images
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.errors import ConfigError
from spocdb.sources.archives import NAME_IN_IMAGE
from spocdb.sources.names import printable
from spocdb.sources.source import Given, Source


@dataclass(frozen=True, slots=True)
class GoneRoot:
    """A given path that is gone or holds no image any more, and its number of stored images."""

    path: str
    n_images: int
    is_there: bool

    def __str__(self) -> str:
        what = "holds no image any more" if self.is_there else "is gone"
        return f"{printable(self.path)} {what}"


def gone_roots(parts: Sequence[tuple[Connection, Collection]], source: Given) -> list[GoneRoot]:
    """Return the paths of a source that hold no files any more but have stored images.

    A collection has one part, or one on each of several servers.
    A disk that is not mounted looks the same.
    """
    gone = []
    for root, is_there in source.empty_roots():
        if n_images := sum(images.count_below(*part, printable(root)) for part in parts):
            gone.append(GoneRoot(root, n_images, is_there))
    return gone


def refuse_gone(gone: Sequence[GoneRoot]) -> None:
    """Raise ConfigError if a path is gone: its images are deleted only with `prune_gone`."""
    for root in gone:
        raise ConfigError(
            f"nothing pruned: {root}: bring it back, or forget its {root.n_images:,} images "
            "by `prune=True, prune_gone=True`"
        )


def prune(
    connection: Connection, collection: Collection, source: Source, *, dry_run: bool = False
) -> int:
    """Delete the images that are gone from a source; return how many."""

    def is_gone(name: str) -> bool:
        return source.covers(name) and not source.exists(name)

    n_pruned = images.prune(connection, collection, is_gone, dry_run=dry_run)
    if not dry_run:
        archives.forget_gone(connection, collection, NAME_IN_IMAGE)
    return n_pruned
