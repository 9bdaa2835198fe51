"""Files behind URLs that are read in parts, or in order: archives and Parquet files."""

import sys
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.sources.far_files import Far

if TYPE_CHECKING:
    from spocdb.sources.kept_lines import KeptLines
    from spocdb.sources.parts import Part, Whole
    from spocdb.sources.streams import Body

T = TypeVar("T")

# Seconds before a part is asked for again: one request of the thousands for an archive may fail.
PAUSES = (0.5, 2.0)
WHOLE = "its server does not send parts of files: download it first"


class FarUrls:
    """Asks for parts of files, under the conditions of all URLs. Threads may share it.

    Connections are kept from one part to the next.
    """

    def __init__(self, allow_private: bool) -> None:
        self._advice = None if allow_private else "set SPOCDB_ALLOW_PRIVATE=1"

    def look(self, url: str) -> Far:
        """Return what is known of a file.

        Raises:
            ImageError: It cannot be fetched.
        """
        from spocdb.sources.parts import Part

        found = repeated(lambda: self._asked(url, 0, 1))
        return Far(found.version, found.size or sys.maxsize, isinstance(found, Part))

    def get_range(self, url: str, start: int, end: int) -> tuple[bytes, str]:
        """Return some bytes of a file, up to `end`, and the version that they are of.

        Raises:
            ImageError: They cannot be fetched, or the server does not send parts.
        """
        from spocdb.sources.parts import Part

        found = repeated(lambda: self._asked(url, start, end))
        if not isinstance(found, Part):
            raise UnreadableImage(WHOLE)
        return found.data, found.version

    def body(self, url: str, version: str, block: int) -> "Body":
        """Return the bytes of a file of this version, to be read in order, in blocks."""
        from spocdb.sources.streams import Body

        return Body(url, version, block, self._advice)

    def _asked(self, url: str, start: int, end: int) -> "Part | Whole":
        from spocdb.sources.parts import fetch_part

        return fetch_part(self._lines, url, start, end)

    @cached_property
    def _lines(self) -> "KeptLines":
        # Imported here, because httpx would take a sixth of the start of every command.
        from spocdb.sources.kept_lines import KeptLines

        return KeptLines(self._advice)


def repeated(ask: Callable[[], T]) -> T:
    """Return what is asked for, repeatedly after errors other than that there is no such file.

    Raises:
        ImageError: The last time as well.
    """
    for pause in PAUSES:
        try:
            return ask()
        except ImageVanished as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise
        time.sleep(pause)
    return ask()
