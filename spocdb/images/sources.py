"""Find image files under the given paths, and read them."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from spocdb.errors import ConfigError, ImageTooLarge, ImageVanished
from spocdb.records import SourceFile

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
)


def walk(paths: Sequence[Path], recursive: bool) -> Iterator[SourceFile]:
    """Find the images under `paths`, in a fixed order, each one once.

    Folders give the regular files with an image's suffix, without hidden names and without
    following links to folders; a file named explicitly is always given. Paths are absolute, links
    in them stay. A file that vanishes meanwhile is given too: `read` tells why it cannot be read.

    Raises ConfigError at once for a path that does not exist, and later for a folder that cannot
    be listed.
    """
    given = [os.path.abspath(path) for path in paths]
    for path in given:
        if not os.path.exists(path):
            raise ConfigError(f"no such file or folder: {printable(path)}")
    return _walk(_without_nested(given, recursive), recursive)


def read(file: SourceFile, max_bytes: int) -> bytes:
    """Read a file's bytes.

    Raises ImageVanished if it is gone or may not be read, ImageTooLarge if there are too many.
    """
    try:
        with open(file.path, "rb") as stream:
            # Asked first: read(n) would allocate n bytes for the smallest file.
            if os.fstat(stream.fileno()).st_size > max_bytes:
                raise ImageTooLarge(
                    f"the file is over the limit of {max_bytes} bytes: "
                    "raise SPOCDB_MAX_PIXELS if you trust it"
                )
            return stream.read()
    except OSError as error:
        raise ImageVanished(f"cannot read the file: {error.strerror or error}") from error


def storable(path: str) -> bool:
    """Tell whether a path is valid UTF-8, as text in PostgreSQL must be; else rename the file."""
    return not any("\ud800" <= character <= "\udfff" for character in path)


def printable(path: str) -> str:
    r"""Return a path with every byte that is not UTF-8 written out, as in `caf\udce9.jpg`."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def on_disk(path: str) -> str:
    """Return the path that `printable` wrote."""
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda byte: chr(int(byte[1], 16)), path)


def is_there(path: str) -> bool:
    """Tell whether there is a file, or a link to nothing, at a path as `printable` writes it."""
    return _exists(path) or _exists(on_disk(path))


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it may not be looked at, which does not mean that it is gone
    return True


def _walk(roots: list[str], recursive: bool) -> Iterator[SourceFile]:
    for root in roots:
        paths = _images_below(root, recursive) if os.path.isdir(root) else [root]
        yield from map(_describe, paths)


def _images_below(root: str, recursive: bool) -> Iterator[str]:
    # A stack, not recursion: folders can be nested deeper than Python's stack.
    folders = [root]
    while folders:
        folder = folders.pop()
        files, subfolders = _list(folder)
        yield from (os.path.join(folder, name) for name in files)
        if recursive:
            folders.extend(os.path.join(folder, name) for name in reversed(subfolders))


def _list(folder: str) -> tuple[list[str], list[str]]:
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_hidden(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif _is_image(entry.name) and not _is_special(entry):
                    files.append(entry.name)
    except OSError as error:
        raise ConfigError(
            f"cannot list {printable(folder)} ({error.strerror}): "
            "make the folder readable, or give the paths beside it"
        ) from error
    return sorted(files), sorted(folders)


def _describe(path: str) -> SourceFile:
    try:
        found = os.stat(path)
    except OSError:
        return SourceFile(path, size=0, mtime_ns=0)
    return SourceFile(path, found.st_size, found.st_mtime_ns)


def _is_special(entry: os.DirEntry[str]) -> bool:
    # Reading a pipe or a device would block or never end; a link to nothing is a failure to list.
    return not entry.is_file() and os.path.exists(entry.path)


def _is_hidden(name: str) -> bool:
    # Also the "._name.jpg" that macOS leaves on foreign disks, which is no image.
    return name.startswith(".")


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _without_nested(given: list[str], recursive: bool) -> list[str]:
    # Overlaps are found among the given paths: a set of all files would not fit in memory.
    folders = {path for path in given if os.path.isdir(path)}
    return [path for path in sorted(set(given)) if not _is_reached(path, folders, recursive)]


def _is_reached(path: str, folders: set[str], recursive: bool) -> bool:
    """Tell whether a walk from one of the folders comes by the path."""
    is_folder = os.path.isdir(path)
    below, reached = path, False
    while not reached and below != os.path.dirname(below):
        if _is_hidden(os.path.basename(below)) or (os.path.islink(below) and os.path.isdir(below)):
            return False
        depth_allows = recursive or (below == path and not is_folder)
        below = os.path.dirname(below)
        reached = depth_allows and below in folders
    return reached and (is_folder or _is_image(path))
