"""Binary COPY of fixed-width rows as NumPy structured arrays.

Rows of one width form one array, so packing and parsing run no Python per row. The layout is
PostgreSQL's binary COPY format (docs, "COPY", "Binary Format"), all big-endian. A vector has
pgvector's send format: int16 dimensions, int16 unused, then the elements.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spocdb.db.connections import Connection

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# V32, not S32: NumPy would strip the zero bytes that one hash in 256 ends with.
TYPES = {
    "bigint": ">i8",
    "integer": ">i4",
    "real": ">f4",
    "sha256": "V32",
    "vector": ">f4",
    "halfvec": ">f2",
}

PIECE_ROWS = 512

Rows = NDArray[np.void]


def row_type(fields: Mapping[str, str]) -> np.dtype[np.void]:
    """Return the layout of a row, e.g. of {"image_id": "bigint", "embedding": "vector(256)"}."""
    layout: list[Any] = [("n_fields", ">i2")]
    for name, kind in fields.items():
        element, _, dim = kind.rstrip(")").partition("(")
        layout.append((f"{name}.length", ">i4"))
        if dim:
            layout += [(f"{name}.dim", ">i2"), (f"{name}.unused", ">i2")]
            layout.append((name, TYPES[element], (int(dim),)))
        else:
            layout.append((name, TYPES[element]))
    return np.dtype(layout)


def pack(fields: Mapping[str, str], columns: Mapping[str, Any]) -> bytes:
    """Return a whole binary COPY of `columns`: for each field n values, or an (n, dim) array."""
    return b"".join(pieces(fields, columns))


def pieces(fields: Mapping[str, str], columns: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield what `pack` returns in pieces; the server reads one while the next is packed."""
    layout = row_type(fields)
    n_rows = len(next(iter(columns.values())))
    yield SIGNATURE
    for begin in range(0, n_rows, PIECE_ROWS):
        rows = np.zeros(min(PIECE_ROWS, n_rows - begin), layout)
        rows["n_fields"] = len(fields)
        for name in fields:
            is_vector = f"{name}.dim" in layout.names  # type: ignore[operator]
            rows[f"{name}.length"] = layout[name].itemsize + 4 * is_vector
            if is_vector:
                rows[f"{name}.dim"] = layout[name].shape[0]
            rows[name] = columns[name][begin : begin + PIECE_ROWS]
        yield rows.tobytes()
    yield TRAILER


def copy_in(connection: Connection, statement: Any, payload: Iterable[bytes]) -> None:
    """Run a `COPY ... FROM STDIN (FORMAT binary)` with the bytes that `pieces` yields."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in payload:
            copy.write(piece)


def copy_out(
    connection: Connection, statement: Any, fields: Mapping[str, str], n_rows: int
) -> Iterator[Rows]:
    """Stream a `COPY (SELECT ...) TO STDOUT (FORMAT binary)`, at most `n_rows` rows at a time."""
    layout = row_type(fields)
    size = layout.itemsize * n_rows
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        held = bytearray()
        to_skip = len(SIGNATURE)
        for block in copy:
            held += block
            if len(held) >= size + to_skip:
                yield np.frombuffer(bytes(held[to_skip : size + to_skip]), layout)
                held, to_skip = held[size + to_skip :], 0
        if rest := bytes(held[to_skip : -len(TRAILER)]):
            yield np.frombuffer(rest, layout)
