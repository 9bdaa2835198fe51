"""The files of an ingest: which there are, whether there is any, and images whose file is gone."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from spocdb.db import images
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.errors import ConfigError
from spocdb.records import SourceFile
from spocdb.sources import kinds
from spocdb.sources.files import walk
from spocdb.sources.names import is_shortened, is_there, on_disk, printable

# A collection's name has 63 bytes at most.
MOST_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class GoneRoot:
    """A given path that is gone, or holds no image any more, and how many images were below it."""

    path: str
    n_images: int
    is_there: bool

    def __str__(self) -> str:
        what = "holds no image any more" if self.is_there else "is gone"
        return f"{printable(self.path)} {what}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files of the given paths are meant; see `walk`."""

    recursive: bool = True
    all_files: bool = False
    follow_links: bool = False

    def files(
        self, paths: Sequence[Path], left_out: kinds.LeftOut | None = None
    ) -> Iterator[SourceFile]:
        """Return the files that are meant."""
        return walk(
            paths,
            self.recursive,
            all_files=self.all_files,
            follow_links=self.follow_links,
            left_out=left_out,
        )


def gone_roots(
    connection: Connection, collection: Collection, roots: Sequence[Path], choice: Choice
) -> list[GoneRoot]:
    """Return the given paths of which nothing is left, but images in the collection.

    A disk that is not mounted looks like that.
    """
    gone = []
    for root in map(str, roots):
        there = os.path.exists(root)
        if there and (not os.path.isdir(root) or any(True for _ in choice.files([Path(root)]))):
            continue
        if n_images := images.count_below(connection, collection, printable(root)):
            gone.append(GoneRoot(root, n_images, there))
    return gone


def refuse_gone(gone: Sequence[GoneRoot]) -> None:
    """Raise ConfigError if there is a path whose images may not be forgotten unasked."""
    for root in gone:
        raise ConfigError(
            f"nothing pruned: {root}: bring it back, or forget its {root.n_images:,} images "
            "by `prune=True, prune_gone=True`"
        )


def prune(
    connection: Connection,
    collection: Collection,
    roots: Sequence[Path],
    *,
    dry_run: bool = False,
) -> int:
    """Delete the images under `roots` whose file is gone; return how many."""
    named = [printable(str(root)) for root in roots]
    inside, exact = tuple(os.path.join(root, "") for root in named), set(named)

    def is_gone(path: str) -> bool:
        return (path.startswith(inside) or path in exact) and not is_there(path)

    return images.prune(connection, collection, is_gone, dry_run=dry_run)


def as_they_are_now(files: Sequence[SourceFile]) -> Iterator[SourceFile]:
    """Yield failed files with the size and time that they have now."""
    for file in files:
        if is_shortened(file.path):
            continue  # it failed for its length, and cannot be found by its beginning
        try:
            stat = os.stat(on_disk(file.path))
        except OSError:
            yield file  # reading it will tell why
        else:
            found = file.path if os.path.lexists(file.path) else on_disk(file.path)
            yield SourceFile(found, stat.st_size, stat.st_mtime_ns)


def some(
    files: Iterator[SourceFile], roots: Sequence[Path], left_out: Mapping[str, int]
) -> Iterator[SourceFile]:
    """Raise ConfigError if none of the files can be an image: nothing is made for nothing."""
    passed: list[SourceFile] = []
    for file in files:
        passed.append(file)
        if kinds.is_image(file.path) or kinds.is_image_inside(file.path):
            return chain(passed, files)
    # Only files that were named explicitly come so far.
    counted = kinds.LeftOut(left_out) + kinds.LeftOut(kinds.kind(file.path) for file in passed)
    rest = f": left out {told}" if (told := kinds.told(counted)) else ""
    where = ", ".join(printable(str(root)) for root in roots)
    raise ConfigError(f"there are no images under {where}{rest}")


def name_beside(folder: str, extractor: str) -> str:
    """Return the name of the collection of a folder's images for a PCA by an extractor.

    Folders that are called alike have different ones: it ends with a hash of the whole path.
    """
    digest = hashlib.sha256(f"{printable(folder)}\0{extractor}".encode()).hexdigest()[:8]
    end = f"-for-pca-{digest}"
    begin = printable(os.path.basename(folder) or "root").encode()[: MOST_NAME_BYTES - len(end)]
    return begin.decode(errors="ignore") + end
