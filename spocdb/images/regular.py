"""Open regular files and nothing else: a pipe or a device may block for ever, or never end."""

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
    """Open a regular file, or a link to one: an `opener` for `open`.

    Opening does not wait for whoever should write into a pipe.

    Raises OSError, whose strerror says what else it is.
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
    """Read a regular file. Raises OSError, and ImageTooLarge for more than `max_bytes`."""
    with open(path, "rb", opener=regular) as stream:
        # Asked first: read(n) would allocate n bytes for the smallest file.
        size = os.fstat(stream.fileno()).st_size
        data = b"" if size > max_bytes else stream.read(size)
        # It may grow meanwhile, and files of /proc do not say how large they are.
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
