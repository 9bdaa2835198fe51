"""Lists of names: a file of paths and URIs, one in a line or separated by NUL, or a CSV of URLs."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spocdb.errors import ConfigError
from spocdb.images.regular import regular
from spocdb.sources import names
from spocdb.sources.csv_files import csv_rows

BLOCK = 2**16
# More is no name; bounds memory.
LONGEST = 2**20


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of names in a file, which can be read repeatedly; with `only_urls`, of URLs."""

    file: Path
    only_urls: bool = False

    def names(self) -> Iterator[str]:
        """Yield the names: paths become absolute, empty lines are left out.

        Raises:
            ConfigError: The file cannot be read or is no list; the CSV has no column `url`.
        """
        try:
            if self.file.suffix.lower() == ".csv":
                rows = csv_rows(self.file, "url", ["url"])
                yield from (row["url"] for _, row in rows if row.get("url"))
                return
            with open(self.file, "rb", opener=regular) as stream:
                if self.only_urls and b"\0" in stream.peek(BLOCK):
                    raise ConfigError(
                        f"{self.file} is no list of URLs: give a text in UTF-8, a URL in each line"
                    )
                for line in _pieces(self.file, stream):
                    text = os.fsdecode(line)
                    is_name = self.only_urls or names.is_uri(text)
                    yield text.strip() if is_name else os.path.abspath(text)
        except OSError as error:
            raise _unreadable(self.file, error) from error
        except UnicodeError as error:
            raise ConfigError(f"{self.file} is not UTF-8: convert it first") from error


def listed(
    names_from: str | os.PathLike[str] | None, urls_from: str | os.PathLike[str] | None
) -> list[Listed]:
    """Return the lists of the given files.

    Raises:
        ConfigError: One is missing.
    """
    given = ((names_from, False), (urls_from, True))
    found = [Listed(Path(file), only_urls) for file, only_urls in given if file is not None]
    for one in found:
        try:
            one.file.stat()
        except OSError as error:
            raise _unreadable(one.file, error) from error
    return found


def _unreadable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot read {file}: {error.strerror or error}")


def _pieces(file: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what stands between separators: NUL if the beginning has one, else ends of lines."""
    block = stream.read(BLOCK)
    separator = b"\0" if b"\0" in block else b"\n"
    rest = b""
    while block:
        *whole, rest = (rest + block).split(separator)
        yield from (piece for piece in (_bare(piece, separator) for piece in whole) if piece)
        if len(rest) > LONGEST:
            raise ConfigError(f"{file} is no list of names: one has over {LONGEST:,} bytes")
        block = stream.read(BLOCK)
    if rest := _bare(rest, separator):
        yield rest


def _bare(piece: bytes, separator: bytes) -> bytes:
    return piece.removesuffix(b"\r") if separator == b"\n" else piece
