"""Files that are written for a user: checked before the work, and replaced as a whole."""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spocdb.errors import ConfigError


def check(file: Path, suffixes: Sequence[str]) -> None:
    """Check that a file can be written, before the work that it is to hold.

    Raises:
        ConfigError: The name has none of the suffixes, or is that of a folder or a device; or the
            file's folder does not exist or is read-only.
    """
    if file.suffix.lower() not in suffixes:
        raise ConfigError(f"cannot write {file}: the name must end in {' or '.join(suffixes)}")
    if os.path.isdir(file):
        raise ConfigError(f"cannot write {file}: it is a folder")
    if os.path.exists(file) and not os.path.isfile(file):
        raise ConfigError(f"cannot write {file}: it is no regular file")
    check_folder(file)


def check_folder(file: Path) -> None:
    """Check the folder of a file that is to be written.

    Raises:
        ConfigError: The folder does not exist or is read-only.
    """
    folder = Path(os.path.realpath(file)).parent
    if not os.path.isdir(folder):
        raise ConfigError(f"cannot write {file}: there is no folder {file.parent}")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"cannot write {file}: the folder {file.parent} may not be written to")


@contextmanager
def replaced(file: Path) -> Iterator[Path]:
    """Yield the name of a new file, which takes the place of `file` once it is written.

    Without success nothing of it is left, and an older `file` stays as it was. A symbolic link
    stays one: what it leads to is replaced.

    Raises:
        ConfigError: The file cannot be written.
    """
    real = Path(os.path.realpath(file))
    fresh = real.with_name(f".{uuid.uuid4().hex}{file.suffix}")
    try:
        yield fresh
        if real.exists():
            shutil.copymode(real, fresh)
        fresh.replace(real)
    except OSError as error:
        # The text of other libraries names the new file.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"cannot write {file}: {reason}") from error
    finally:
        fresh.unlink(missing_ok=True)
