"""Images in tar and zip files, as a source: an archive is a folder, and is not unpacked.

An image is called ARCHIVE/MEMBER. An unchanged archive is not opened if all that it holds is known
to be stored; else it is listed again, and its stored images are not read. Memory does not grow with
the number of archives, and by eight bytes with each image of the one that is being listed.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from spocdb.errors import ConfigError, ImageError, UnreadableImage
from spocdb.records import Contents, ImageRef
from spocdb.sources import kinds, names
from spocdb.sources.containers import Containers, is_far
from spocdb.sources.containers import problem as problem_of
from spocdb.sources.digests import Names
from spocdb.sources.kinds import LeftOut
from spocdb.sources.members import Archive, Member, Readable
from spocdb.sources.roots import Roots
from spocdb.sources.samples import BESIDE, key_of
from spocdb.sources.source import Get, Known, Ref, Terms, nothing_known, unread
from spocdb.sources.tars import TarArchive
from spocdb.sources.urls import version_of
from spocdb.sources.walkers import Shelf
from spocdb.sources.zips import ZipArchive
from spocdb.text import cleaned

FORMATS: dict[str, Callable[[Readable], Archive]] = {
    ".tar": partial(TarArchive, compression=""),
    ".tar.gz": partial(TarArchive, compression="gz"),
    ".tgz": partial(TarArchive, compression="gz"),
    ".tar.zst": partial(TarArchive, compression="zst"),
    ".zip": ZipArchive,
}
_SUFFIX = re.compile(r"\.(?:tar(?:\.gz|\.zst)?|tgz|zip)(?=/|$)", re.IGNORECASE)
# Finds the name of an archive in that of an image, also for PostgreSQL.
NAME_IN_IMAGE = r"(?i)^(.*?\.(?:tar(?:\.gz|\.zst)?|tgz|zip))/"
# Names of archives that are kept for `exists`, in all: 32 MB.
MOST_NAMES = 2**22


def archive_of(name: str) -> str | None:
    """Return the archive that a path is, or is inside of; None if it is in none.

    A folder may be called like an archive; a prefix of a bucket may not.
    """
    if names.is_uri(name) and not is_far(name):
        return None
    return names.file_in(name, _SUFFIX)


class ArchivesSource:
    """The images in some archives; without archives, any by its name."""

    def __init__(
        self, paths: Sequence[str], terms: Terms, of: "ArchivesSource | None" = None
    ) -> None:
        self._given = Roots(paths)
        self.roots = self._given.paths
        self.whole: list[Contents] = []
        self._terms, self.left_out = terms, terms.left_out
        self._shelf = Shelf(terms.max_bytes)
        # What was found out, here or by the source that this one was made `of`: versions, names in
        # archives of a version, archives of which all is stored.
        self._containers: Containers = of._containers if of else Containers(terms, _is_tar)
        self._names: OrderedDict[str, tuple[str, Names]] = of._names if of else OrderedDict()
        self._stored: set[str] = of._stored if of else set()

    def refs(self, known: Known = nothing_known) -> Iterator[ImageRef]:
        """List the images, archive by archive, without archives that are `known`.

        A damaged archive is listed as an image of its own name that cannot be read.

        Raises:
            ConfigError: At once for an archive that does not exist.
        """
        self._containers.check(self.roots)
        for root in self.roots:
            if archive_of(root) != root:
                raise ConfigError(f"no such file or folder: {names.printable(root)}")
        return (ref for root in self.roots for ref in self._new(root, known))

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield these images with the functions that read them, and with their metadata."""
        for ref in refs:
            try:
                yield (ref, unread) if ref.problem else self._found(ref)
            except ImageError as error:
                yield replace(ref, problem=error), unread

    def covers(self, name: str) -> bool:
        """Return whether a name is one of the archives, or inside one."""
        return self._given.cover(name)

    def exists(self, name: str) -> bool:
        """Return whether the archive has such an image; True if it cannot be listed."""
        archive = archive_of(name) or name
        if name == archive or not self._containers.is_there(archive):
            return self._containers.is_there(archive)
        if archive in self._stored:
            return True
        try:
            return name[len(archive) + 1 :] in self._names_in(archive)
        except ImageError:
            return True

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List images by their stored names; for an archive that failed, all of its images."""
        for name in stored:
            if archive_of(name) == name:
                yield from self._listed(name, self.left_out)
            elif not names.is_shortened(name):
                yield ImageRef(name)

    def empty_roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the archives that are gone or hold no image, and whether they exist."""
        for root in self.roots:
            is_there = self._containers.is_there(root)
            is_full = root in self._stored or any(self._listed(root, LeftOut()))
            if not is_there or not is_full:
                yield root, is_there

    def without(self, roots: Collection[str]) -> "ArchivesSource":
        """Return the same source without some of its archives."""
        rest = [root for root in self.roots if root not in roots]
        return ArchivesSource(rest, self._terms, self)

    def has_any(self, passed: LeftOut) -> bool:
        """Return whether an archive holds an image; count in `passed` what is none.

        An archive that is not opened is taken to hold one.
        """
        if self._terms.unopened and self.roots:
            return True
        for root in self.roots:
            for ref in self._listed(root, passed):
                if ref.name not in self._given.names:
                    return True
                passed[kinds.DAMAGED] += 1
        return False

    def _new(self, path: str, known: Known) -> Iterator[ImageRef]:
        """List an archive unless all that it holds is stored."""
        if known(self._unopened(path)):
            self._stored.add(path)
        else:
            yield from self._listed(path, self.left_out)

    def _listed(self, path: str, left_out: LeftOut) -> Iterator[ImageRef]:
        if self._terms.unopened:
            yield self._unopened(path)
            return
        version, seen, rest = "", Names(), LeftOut()
        try:
            archive = self._open(path)
            version = archive.version
            for member in _images(archive, rest, seen):
                yield _ref(path, archive, member)
            self.whole.append(Contents(names.printable(path), version, len(seen), rest))
            self._keep(path, version, seen)
        except ImageError as error:
            yield ImageRef(names.listed(path), version, problem=error)
        finally:
            left_out.update(rest)

    def _found(self, ref: Ref) -> tuple[Ref, Get]:
        path = archive_of(ref.name)
        if path is None:
            raise UnreadableImage("it is in no archive")
        archive, (member, sample) = self._shelf.find(
            path, self._containers.version_now(path), ref.name[len(path) + 1 :], self._open
        )
        found = replace(
            ref,
            version=version_of(ref.version, _version(archive, member)),
            size=member.size,
            metadata={**sample.metadata(), **ref.metadata},
            problem=member.problem,
        )
        return found, member.read

    def _names_in(self, path: str) -> Names:
        """Return the names of an archive's images, listed again only if it changed.

        Raises:
            ImageError: It cannot be read now.
        """
        version = self._containers.version_now(path)
        known, found = self._names.get(path, ("", Names()))
        # Without a version it cannot be looked at, and opening it says why.
        if not version or known != version:
            found = Names()
            for _ in _images(self._open(path), LeftOut(), found):
                pass
        self._keep(path, version, found)
        return found

    def _keep(self, path: str, version: str, found: Names) -> None:
        self._names[path] = version, found
        self._names.move_to_end(path)
        while sum(len(n) for _, n in self._names.values()) > MOST_NAMES and len(self._names) > 1:
            self._names.popitem(last=False)

    def _unopened(self, path: str) -> ImageRef:
        """Return the ref of an archive as a whole."""
        version = self._containers.version_now(path)
        size = int(version.rpartition(" ")[2]) if version else None
        why_not = names.problem(path)
        problem = UnreadableImage(why_not) if why_not else None
        return ImageRef(names.listed(path) if problem else path, version, size, problem=problem)

    def _open(self, path: str) -> Archive:
        """Open an archive. Raises ImageError."""
        match = next(match for match in _SUFFIX.finditer(path) if match.end() == len(path))
        return FORMATS[match[0].lower()](self._containers.open(path, "archive"))


def _is_tar(path: str) -> bool:
    """Return whether an archive can be read in order."""
    return not path.lower().endswith(".zip")


def _images(archive: Archive, left_out: LeftOut, seen: Names) -> Iterator[Member]:
    """List the members to ingest, each name once; count the others."""
    for member in archive.members():
        is_hidden = any(part.startswith(".") for part in member.name.split("/"))
        # "..": not hidden, but a problem.
        if is_hidden and not member.problem:
            left_out[kinds.HIDDEN] += 1
        elif not kinds.is_image(member.name):
            if key_of(member.name)[1] not in BESIDE:
                kinds.leave_out(left_out, member.name)
        elif seen.add(member.name):
            yield member
        else:
            left_out[kinds.REPEATED] += 1


def _ref(path: str, archive: Archive, member: Member) -> ImageRef:
    name, problem = f"{path}/{member.name}", member.problem
    if problem is None and (why_not := problem_of(name)):
        problem = UnreadableImage(why_not)
    if problem:
        name = cleaned(names.listed(name))
    return ImageRef(name, _version(archive, member), member.size, problem=problem)


def _version(archive: Archive, member: Member) -> str:
    return f"{archive.version} {member.offset} {member.size}"
