"""Which server has which content, and what an image is called beyond its server."""

import hashlib
from collections.abc import Iterable

# A content's position is the number of its sha256's first bytes.
POSITION_BYTES = 8
POSITIONS = 1 << 8 * POSITION_BYTES
# That so many contents of one server all lie in half of what it has is not by chance.
ENOUGH = 64


def position(sha256: bytes) -> int:
    """Return the position of a content, 0 to POSITIONS - 1. Contents are spread evenly."""
    return int.from_bytes(sha256[:POSITION_BYTES], "big")


def place_of(sha256: bytes, n: int) -> int:
    """Return the place, 0 to n - 1, of the server that has a content: each has a range."""
    return position(sha256) * n // POSITIONS


def is_of_more(hashes: Iterable[bytes], n: int) -> bool:
    """Return whether the contents of one server show that it is one of more than n servers."""
    found = {position(sha256) for sha256 in hashes}
    return len(found) >= ENOUGH and max(found) - min(found) < POSITIONS // n // 2


def place_of_name(name: str, n: int) -> int:
    """Return the place of the server that has the failure of a name: its content is not known."""
    return place_of(hashlib.sha256(name.encode(errors="surrogateescape")).digest(), n)


def whole_id(own: int, place: int, n: int) -> int:
    """Return the id of an image among all servers, from its id on the server at `place`."""
    return own * n + place


def own_id(whole: int, n: int) -> tuple[int, int]:
    """Return the place of the server that has an image, and its id there."""
    return whole % n, whole // n


def own_ids(whole: Iterable[int], n: int) -> list[list[int]]:
    """Return for each place the ids there of some images."""
    ids: list[list[int]] = [[] for _ in range(n)]
    for id in whole:
        place, own = own_id(id, n)
        ids[place].append(own)
    return ids
