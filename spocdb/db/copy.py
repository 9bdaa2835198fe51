"""Binary COPY of rows as NumPy structured arrays.

Rows of one width form one array, so packing and parsing run no Python per row. Texts, whose width
varies, follow the fixed columns and are joined row by row. The layout is PostgreSQL's binary COPY
format (docs, "COPY", "Binary Format"), all big-endian. A vector has pgvector's send format: int16
dimensions, int16 unused, then the elements.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psycopg
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

LENGTH = struct.Struct(">i")

PIECE_ROWS = 512

Rows = NDArray[np.void]


def _encode_text(value: str) -> bytes:
    if "\0" in value:
        # The server's own message does not name the character.
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode()


def _encode_jsonb(value: Any) -> bytes:
    # The version of the format, then the text. Most sources say nothing of an image.
    return b"\1" + (json.dumps(value).encode() if value else b"{}")


# Of the kinds whose width varies.
ENCODERS: dict[str, Callable[[Any], bytes]] = {"text": _encode_text, "jsonb": _encode_jsonb}


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
    """Return a whole binary COPY of `columns`: for each field n values, or an (n, dim) array.

    Fields of text and jsonb, which have no fixed width, come last.
    """
    return b"".join(pieces(fields, columns))


def pieces(fields: Mapping[str, str], columns: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield what `pack` returns in pieces; the server reads one while the next is packed.

    Raises:
        psycopg.DataError: A text has a NUL character.
        UnicodeEncodeError: A text is not UTF-8.
    """
    texts = {name: ENCODERS[kind] for name, kind in fields.items() if kind in ENCODERS}
    layout = row_type({name: kind for name, kind in fields.items() if name not in texts})
    n_rows = len(next(iter(columns.values())))
    yield SIGNATURE
    for begin in range(0, n_rows, PIECE_ROWS):
        piece = slice(begin, begin + PIECE_ROWS)
        rows = np.zeros(min(PIECE_ROWS, n_rows - begin), layout)
        rows["n_fields"] = len(fields)
        for name in (name for name in fields if name not in texts):
            is_vector = f"{name}.dim" in layout.names  # type: ignore[operator]
            rows[f"{name}.length"] = layout[name].itemsize + 4 * is_vector
            if is_vector:
                rows[f"{name}.dim"] = layout[name].shape[0]
            rows[name] = columns[name][piece]
        encoded = [map(encode, columns[name][piece]) for name, encode in texts.items()]
        yield _with_texts(rows, encoded) if texts else rows.tobytes()
    yield TRAILER


def _with_texts(rows: Rows, texts: Sequence[Iterable[bytes]]) -> bytes:
    """Return the rows, each followed by its texts, each of which follows its length."""
    parts: list[bytes] = []
    for row, *values in zip(rows.view(f"V{rows.itemsize}").tolist(), *texts, strict=True):
        parts.append(row)
        for value in values:
            parts += (LENGTH.pack(len(value)), value)
    return b"".join(parts)


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
