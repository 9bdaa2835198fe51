"""Opens regular files only: a pipe or a device could block for ever, or never end."""

import errno
import os
import stat
from pathlib import Path

from spocdb.errors import ImageTooLarge
from spocdb.settings import DEFAULT_MAX_BYTES

BLOCK = 2**16

KINDS = {
    stat.S_IFIFO: "it is a named pipe",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
    stat.S_IFSOCK: "it is a socket",
}


def regular(path: str, flags: int) -> int:
    """Open a regular file, or a link to one; an `opener` for `open`.

    Opens with O_NONBLOCK, so that a pipe without a writer does not block.

    Raises:
        OSError: The file cannot be opened or is not regular; strerror says what it is.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind == stat.S_IFREG:
        return descriptor
    os.close(descriptor)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    reason = KINDS.get(kind, "it is of an unknown kind")
    raise OSError(errno.EINVAL, f"{reason}: only regular files are read", path)


def read_bytes(path: str | Path, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """Read a regular file.

    Raises:
        OSError: The file cannot be read, or is not regular.
        ImageTooLarge: The file has more than `max_bytes`.
    """
    with open(path, "rb", opener=regular) as stream:
        # Get the size first: read(n) allocates n bytes even for a small file.
        size = os.fstat(stream.fileno()).st_size
        data = b"" if size > max_bytes else stream.read(size)
        # The file may grow while it is read, and files of /proc report no size.
        while size <= max_bytes and (block := stream.read(BLOCK)):
            data += block
            size = len(data)
    if size > max_bytes:
        raise ImageTooLarge(
            f"the file is over the limit of {max_bytes} bytes: raise SPOCDB_MAX_BYTES if you "
            "trust it",
            field="max_bytes",
            bound=max_bytes,
        )
    return data
