"""Files behind URLs that are read in parts: archives and Parquet files."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spocdb.errors import ImageVanished

if TYPE_CHECKING:
    from spocdb.sources.parts import Part

# Seconds before a part is asked for again: one request of the thousands for an archive may fail.
PAUSES = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class FarUrls:
    """Asks for parts of files, under the conditions of all URLs. Threads may share it."""

    allow_private: bool

    def look(self, url: str) -> tuple[str, int]:
        """Return the version and the size of a file.

        Raises:
            ImageError: It cannot be fetched, or not in parts.
        """
        found = self._part(url, 0, 1)
        return found.version, found.size

    def get_range(self, url: str, start: int, end: int) -> tuple[bytes, str]:
        """Return some bytes of a file, up to `end`, and the version that they are of.

        Raises:
            ImageError: They cannot be fetched.
        """
        found = self._part(url, start, end)
        return found.data, found.version

    def _part(self, url: str, start: int, end: int) -> "Part":
        for pause in PAUSES:
            try:
                return self._asked(url, start, end)
            except ImageVanished as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    raise
            time.sleep(pause)
        return self._asked(url, start, end)

    def _asked(self, url: str, start: int, end: int) -> "Part":
        # Imported here, because httpx would take a sixth of the start of every command.
        from spocdb.sources.parts import fetch_part

        return fetch_part(url, start, end, allow_private=self.allow_private)
