"""Binary COPY, byte by byte as in PostgreSQL's manual and pgvector's send functions."""

import struct

import numpy as np
import psycopg
import pytest

from spocdb.db.copy import PIECE_ROWS, SIGNATURE, TRAILER, pack, row_type

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)


def test_a_row_by_hand() -> None:
    fields = {"id": "bigint", "n": "integer", "embedding": "vector(2)", "raw": "halfvec(3)"}
    columns = {
        "id": [-2],
        "n": [7],
        "embedding": np.array([[1.5, -2]], np.float32),
        "raw": np.array([[1, 0.5, -1]], np.float32),
    }
    row = struct.pack(">h", 4)
    row += struct.pack(">iq", 8, -2)
    row += struct.pack(">ii", 4, 7)
    row += struct.pack(">ihhff", 12, 2, 0, 1.5, -2)
    row += struct.pack(">ihheee", 10, 3, 0, 1, 0.5, -1)
    assert pack(fields, columns) == HEADER + row + struct.pack(">h", -1)


def test_texts_follow_the_fixed_columns_of_each_row() -> None:
    fields = {"n": "integer", "path": "text", "metadata": "jsonb"}
    columns = {"n": [7, 8], "path": ["\u00e9", ""], "metadata": [{"a": 1}, {}]}
    rows = struct.pack(">hiii2sib8s", 3, 4, 7, 2, "\u00e9".encode(), 9, 1, b'{"a": 1}')
    rows += struct.pack(">hiiiib2s", 3, 4, 8, 0, 3, 1, b"{}")
    assert pack(fields, columns) == HEADER + rows + b"\xff\xff"


def test_more_rows_than_a_piece_keep_their_texts() -> None:
    n = 2 * PIECE_ROWS + 1
    payload = pack({"n": "integer", "path": "text"}, {"n": [*range(n)], "path": ["x"] * n})
    rows = b"".join(struct.pack(">hiiis", 2, 4, i, 1, b"x") for i in range(n))
    assert payload == HEADER + rows + b"\xff\xff"


@pytest.mark.parametrize(
    ("text", "error"), [("a\0b", psycopg.DataError), ("\ud800", UnicodeEncodeError)]
)
def test_texts_that_postgresql_cannot_store_are_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        pack({"path": "text"}, {"path": [text]})


def test_hashes_keep_the_zero_bytes_at_their_end() -> None:
    hashes = [bytes(32), b"\x01" * 31 + b"\0", b"\0" + b"\x02" * 31]
    payload = pack({"sha256": "sha256"}, {"sha256": np.array(hashes, "V32")})
    rows = b"".join(struct.pack(">hi", 1, 32) + sha256 for sha256 in hashes)
    assert payload == HEADER + rows + b"\xff\xff"


def test_no_rows_are_a_whole_copy_too() -> None:
    fields = {"id": "bigint", "embedding": "vector(2)"}
    empty = pack(fields, {"id": [], "embedding": np.empty((0, 2), np.float32)})
    assert empty == HEADER + b"\xff\xff"


@pytest.mark.parametrize("kind", ["vector", "halfvec"])
def test_what_is_packed_can_be_read_back(kind: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 512)).astype(np.float16).astype(np.float32)
    fields = {"id": "bigint", "row": f"{kind}(512)"}
    payload = pack(fields, {"id": np.arange(50), "row": rows})
    found = np.frombuffer(payload[len(SIGNATURE) : -len(TRAILER)], row_type(fields))
    assert found["id"].tolist() == list(range(50))
    np.testing.assert_array_equal(found["row"], rows)
    assert set(found["row.dim"].tolist()) == {512}
    assert set(found["row.length"].tolist()) == {4 + 512 * (4 if kind == "vector" else 2)}


def test_columns_of_another_width_or_length_are_refused() -> None:
    fields = {"id": "bigint", "row": "vector(3)"}
    for shape in ((2, 4), (3, 3)):
        with pytest.raises(ValueError, match="could not broadcast"):
            pack(fields, {"id": [1, 2], "row": np.ones(shape, np.float32)})
