"""Which server has which content, and when servers are not those that a collection is on."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from spocdb.db.search import Hit
from spocdb.distributed.shards.projecting import merged
from spocdb.distributed.shards.routing import (
    ENOUGH,
    is_of_more,
    own_id,
    own_ids,
    place_of,
    place_of_name,
    whole_id,
)
from spocdb.distributed.shards.searching import merged as merged_hits
from spocdb.projections import CHUNK_ROWS

HASHES = [hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(3000)]


def test_places_are_ranges_of_the_first_eight_bytes() -> None:
    for first, n, place in (
        ("00", 3, 0),
        ("5555555555555555", 3, 0),
        ("5555555555555556", 3, 1),
        ("aaaaaaaaaaaaaaaa", 3, 1),
        ("aaaaaaaaaaaaaaab", 3, 2),
        ("ffffffffffffffff", 3, 2),
        ("ffffffffffffffff", 1, 0),
        ("7fffffffffffffff", 2, 0),
        ("80", 2, 1),
        ("ffffffffffffffff", 1000, 999),
    ):
        assert place_of(bytes.fromhex(first.ljust(64, "0")), n) == place


def test_contents_and_names_are_spread_evenly() -> None:
    counts = Counter(place_of(sha256, 3) for sha256 in HASHES)
    assert all(900 < counts[place] < 1100 for place in range(3))
    names = Counter(place_of_name(f"/photos/{i}.jpg", 3) for i in range(3000))
    assert all(900 < names[place] < 1100 for place in range(3))
    assert place_of_name("/photos/\udcff.jpg", 3) in range(3)


@pytest.mark.parametrize(("n", "named"), [(2, 1), (3, 1), (6, 3), (6, 2), (4, 2), (12, 4)])
def test_a_server_of_more_is_recognised(n: int, named: int) -> None:
    """Also where each content would be right: of six servers the first, third and fifth."""
    step = n // named
    for place in range(named):
        there = [sha256 for sha256 in HASHES if place_of(sha256, n) == place * step]
        assert all(place_of(sha256, named) == place for sha256 in there)
        assert is_of_more(there, named)
        assert not is_of_more(there, n)
        # Of few contents, or of copies of few, that cannot be said.
        assert not is_of_more(there[: ENOUGH - 1], named)
        assert not is_of_more(10 * there[: ENOUGH - 1], named)


def test_ids_say_their_server() -> None:
    ids = {whole_id(own, place, 3) for own in range(1, 50) for place in range(3)}
    assert len(ids) == 3 * 49
    assert own_id(whole_id(17, 2, 3), 3) == (2, 17)
    assert own_ids([whole_id(17, 2, 3), whole_id(4, 0, 3), whole_id(9, 2, 3)], 3) == [
        [4],
        [],
        [17, 9],
    ]


def test_streams_are_merged_in_order_and_in_whole_chunks() -> None:
    layout = np.dtype([("sha256", "V32"), ("descriptor", ">f2", (4,))])
    hashes = [hashlib.sha256(str(i).encode()).digest() for i in range(CHUNK_ROWS + 900)]
    # Zero bytes at the end count.
    hashes += [b"\x01" * 31 + b"\0", b"\x01" * 30 + b"\0\0"]
    rows = np.zeros(len(hashes), layout)
    rows["sha256"] = np.array(hashes, "V32")
    rows["descriptor"][:, 0] = np.arange(len(hashes)) % 2048
    rows = rows[np.argsort([h.hex() for h in hashes])]
    parts = [
        rows[[place_of(row["sha256"].tobytes(), 3) == place for row in rows]] for place in range(3)
    ]
    streams = (iter(np.array_split(part, 5)) for part in [*parts, rows[:0]])
    chunks = list(merged(streams))
    assert [len(chunk) for chunk in chunks] == [CHUNK_ROWS, 902]
    assert b"".join(chunk.tobytes() for chunk in chunks) == rows.tobytes()
    assert list(merged([iter([rows[:0]])])) == []


def test_equal_distances_are_ordered_by_id() -> None:
    def hit(id: int, distance: float) -> Hit:
        return Hit(id, f"{id}.jpg", distance, {}, "exact")

    a, b, c, d = hit(7, 0.25), hit(5, 0.5), hit(4, 0.5), hit(6, 0.5)
    assert merged_hits([[a, d], [b], [], [c]]) == [a, c, b, d]
