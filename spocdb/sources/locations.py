"""Read the file that a row's path names, below the folder that its table was attached with."""

import os

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.sources.files import read


def read_below(root: str, path: str, max_bytes: int) -> bytes:
    """Read the file at a path below a folder.

    Raises UnreadableImage for a path that leads out of it: rows may be written by anybody.
    Raises ImageVanished and ImageTooLarge as `files.read` does.
    """
    folder = os.path.realpath(root)
    file = os.path.realpath(os.path.join(folder, path))
    if os.path.commonpath([folder, file]) != folder:
        raise UnreadableImage(f"the path leads out of {root}")
    if not os.path.isfile(file):
        # Opening a pipe would wait for ever.
        raise ImageVanished(f"there is no file {file}")
    return read(file, max_bytes)
