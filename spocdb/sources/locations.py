"""Read the file of a row's path, below the folder of its attached table."""

import os

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.sources.files import read


def read_below(root: str, path: str, max_bytes: int) -> bytes:
    """Read the file at a path below a folder.

    Rows may be written by untrusted users, so links are resolved and the path must stay below.

    Raises:
        UnreadableImage: The path leads out of the folder.
        ImageVanished: There is no such file, or it cannot be read.
        ImageTooLarge: It has more than `max_bytes` bytes.
    """
    folder = os.path.realpath(root)
    file = os.path.realpath(os.path.join(folder, path))
    if os.path.commonpath([folder, file]) != folder:
        raise UnreadableImage(f"the path leads out of {root}")
    if not os.path.isfile(file):
        # Not opened, because opening a pipe would block for ever.
        raise ImageVanished(f"there is no file {file}")
    return read(file, max_bytes)
