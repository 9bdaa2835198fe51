"""Find image files under the given paths."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spocdb.errors import ConfigError
from spocdb.sources import kinds
from spocdb.sources.kinds import LeftOut
from spocdb.sources.names import printable


def walk(
    paths: Sequence[Path],
    recursive: bool,
    *,
    all_files: bool = False,
    follow_links: bool = False,
    left_out: LeftOut | None = None,
) -> Iterator[str]:
    """Find the images under `paths`; yield each path once, in a fixed order.

    In folders these are the regular files with an image's suffix that are not hidden. A file named
    explicitly is always yielded. `all_files` adds files without a known suffix that begin with an
    image's signature. `follow_links` adds the contents of linked folders, after all others, each
    folder once. `left_out` counts the skipped files by kind. Paths are absolute, with links
    unresolved. A file that vanishes meanwhile may still be yielded.

    Raises:
        ConfigError: At once for a path that does not exist; later for an unreadable folder.
    """
    given = [os.path.abspath(path) for path in paths]
    for path in given:
        if not os.path.exists(path):
            raise ConfigError(f"no such file or folder: {printable(path)}")
    counted = LeftOut() if left_out is None else left_out
    return _Walk(recursive, all_files, follow_links, counted).paths(given)


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk: its options, its counts, and the queue of linked folders.

    `entered` holds device and inode of the given folders and of the linked ones only, as a set of
    all folders would grow with the tree.
    """

    recursive: bool
    all_files: bool
    follow_links: bool
    left_out: LeftOut
    links: deque[str] = field(default_factory=deque)
    entered: set[tuple[int, int]] = field(default_factory=set)

    def paths(self, given: list[str]) -> Iterator[str]:
        roots = self._without_nested(given)
        self.entered.update(filter(None, map(_identity, roots)))
        for root in roots:
            yield from self._images_below(root) if os.path.isdir(root) else [root]
        while self.links:
            link = self.links.popleft()
            target = os.path.realpath(link)
            if not self._comes_by(target):
                self.entered.update(filter(None, [_identity(target)]))
                yield from self._images_below(link, is_linked=True)

    def _images_below(self, root: str, *, is_linked: bool = False) -> Iterator[str]:
        # A stack, not recursion: folders can be nested deeper than Python's stack.
        folders = [root]
        while folders:
            folder = folders.pop()
            files, subfolders = self._list(folder)
            beginning = os.path.join(folder, "")
            yield from (beginning + name for name in files)
            if not self.recursive:
                self._leave_out(kinds.SUBFOLDER, len(subfolders))
                continue
            below = [os.path.join(folder, name) for name in reversed(subfolders)]
            # A link may lead to a parent of a folder that was entered before.
            folders.extend(b for b in below if not is_linked or _identity(b) not in self.entered)

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        files, folders, links = [], [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _is_hidden(entry.name):
                        self._leave_out(kinds.HIDDEN)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_symlink() and os.path.isdir(entry.path):
                        links.append(entry.path)
                    elif _is_special(entry):
                        self._leave_out(kinds.SPECIAL)
                    elif self._takes(entry.path):
                        files.append(entry.name)
                    else:
                        kinds.leave_out(self.left_out, entry.name)
        except OSError as error:
            raise ConfigError(
                f"cannot list {printable(folder)} ({error.strerror}): "
                "make the folder readable, or give the paths beside it"
            ) from error
        if self.follow_links and self.recursive:
            self.links.extend(sorted(links))
        else:
            self._leave_out(kinds.LINKED, len(links))
        return sorted(files), sorted(folders)

    def _takes(self, path: str) -> bool:
        return kinds.is_image(path) or (self.all_files and kinds.is_nameless_image(path))

    def _leave_out(self, kind: str, n: int = 1) -> None:
        if n:
            self.left_out[kind] += n

    def _comes_by(self, target: str) -> bool:
        """Return whether a walk from an entered folder reaches this one without links."""
        while True:
            if _identity(target) in self.entered:
                return True
            if _is_hidden(os.path.basename(target)) or target == os.path.dirname(target):
                return False
            target = os.path.dirname(target)

    def _without_nested(self, given: list[str]) -> list[str]:
        # Compare only the given paths: a set of all files might not fit in memory.
        folders = {path for path in given if os.path.isdir(path)}
        return [path for path in sorted(set(given)) if not self._is_reached(path, folders)]

    def _is_reached(self, path: str, folders: set[str]) -> bool:
        """Return whether a walk from one of the folders reaches the path."""
        is_folder = os.path.isdir(path)
        below, reached = path, False
        while not reached and below != os.path.dirname(below):
            is_link = os.path.islink(below) and os.path.isdir(below)
            if _is_hidden(os.path.basename(below)) or is_link:
                return False
            depth_allows = self.recursive or (below == path and not is_folder)
            below = os.path.dirname(below)
            reached = depth_allows and below in folders
        return reached and (is_folder or self._takes(path))


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_special(entry: os.DirEntry[str]) -> bool:
    # Reading a pipe or a device could block for ever. A broken link is not special: it is listed as
    # a failure.
    if entry.is_file(follow_symlinks=False):
        return False
    # Not entry.is_file(), which raises for a link to itself.
    return os.path.exists(entry.path) and not os.path.isfile(entry.path)


def _is_hidden(name: str) -> bool:
    # This also skips "._name.jpg" files of macOS, which are no images.
    return name.startswith(".")
