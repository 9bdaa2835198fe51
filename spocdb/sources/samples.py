"""Members of one key as one sample: pictures and the metadata beside them.

WebDataset's convention: the key of a member is its path up to the first dot of its last part, and
the members of a key follow one another, such as 0001.jpg, 0001.json, 0001.txt and 0001.cls.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from spocdb.errors import ImageError
from spocdb.sources.csv_files import MOST_CHARACTERS
from spocdb.sources.members import Member
from spocdb.sources.metadata_files import cleaned_row, parse_value

# The extensions that describe the pictures of their key.
BESIDE = ("json", "txt", "cls")
# The most members of a sample; further ones begin another. Bounds memory.
MOST_IN_A_SAMPLE = 32


@dataclass(frozen=True, slots=True)
class Sample:
    """Consecutive members of a key: those to ingest, and by extension those that describe them."""

    members: list[Member] = field(default_factory=list)
    beside: dict[str, Member] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        """Read what stands beside the pictures: the keys of the .json, and `txt` and `cls`.

        What is no object, too large or damaged gives none.
        """
        row: dict[str, Any] = {}
        for extension in sorted(self.beside):
            try:
                row |= _said(extension, self.beside[extension].read(MOST_CHARACTERS).decode())
            except (ImageError, ValueError, RecursionError):
                continue
        try:
            return cleaned_row(row)
        except ValueError:
            return {}


def samples(members: Iterable[Member], most_bytes: int) -> Iterator[Sample]:
    """Group members that follow one another; a sample has about `most_bytes` at the most.

    If `members` raises, the sample that was begun is given before.
    """
    sample, key, n_bytes = Sample(), "", 0
    try:
        for member in members:
            before, (key, extension) = key, key_of(member.name)
            n_members = len(sample.members) + len(sample.beside)
            if key != before or n_members == MOST_IN_A_SAMPLE or n_bytes > most_bytes:
                yield sample
                sample, n_bytes = Sample(), 0
            if extension not in BESIDE:
                sample.members.append(member)
            elif not member.problem:
                sample.beside[extension] = member
            n_bytes += member.size
    except ImageError:
        yield sample
        raise
    yield sample


def key_of(name: str) -> tuple[str, str]:
    """Return a member's key and its extension in lower case."""
    folder, slash, base = name.rpartition("/")
    key, _, extension = base.partition(".")
    return f"{folder}{slash}{key}", extension.lower()


def _said(extension: str, text: str) -> dict[str, Any]:
    if extension != "json":
        return {extension: parse_value(text.strip()) if extension == "cls" else text.strip()}
    said = json.loads(text)
    return said if isinstance(said, dict) else {}
