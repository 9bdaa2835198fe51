"""The extension's types vector and halfvec, as the driver writes and reads them.

pgvector's own adapters load NumPy as soon as a connection has them. These load it with the first
value, so that a command that handles no vector starts sooner.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

from spocdb.records import Float32Array

if TYPE_CHECKING:
    import psycopg
    from pgvector import HalfVector, Vector

# The classes whose values are written as each type, by name, as the driver finds them.
WRITTEN = {
    "vector": ("pgvector.vector.Vector", "numpy.ndarray"),
    "halfvec": ("pgvector.halfvec.HalfVector",),
}


class _Text(Dumper):
    format = Format.TEXT

    def dump(self, obj: Any) -> Buffer | None:
        return str(_value(obj).to_text()).encode()


class _Binary(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer | None:
        return bytes(_value(obj).to_binary())


class _Vector(Loader):
    def load(self, data: Buffer) -> "Vector":
        from pgvector import Vector

        return Vector.from_text(bytes(data).decode())


class _HalfVector(Loader):
    def load(self, data: Buffer) -> "HalfVector":
        from pgvector import HalfVector

        return HalfVector.from_text(bytes(data).decode())


class _BinaryVector(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> "Vector":
        from pgvector import Vector

        return Vector.from_binary(bytes(data))


class _BinaryHalfVector(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> "HalfVector":
        from pgvector import HalfVector

        return HalfVector.from_binary(bytes(data))


LOADERS: Mapping[str, Sequence[type[Any]]] = {
    "vector": (_Vector, _BinaryVector),
    "halfvec": (_HalfVector, _BinaryHalfVector),
}


def register(connection: "psycopg.Connection[Any]", name: str, oid: int, array_oid: int) -> None:
    """Let a connection write and read one of the types, which has these oids in its database."""
    TypeInfo(name, oid, array_oid).register(connection)
    for written in WRITTEN[name]:
        for dumper in (_Text, _Binary):
            # The driver takes the oid of a parameter from the dumper's class.
            connection.adapters.register_dumper(written, type("", (dumper,), {"oid": oid}))
    for loader in LOADERS[name]:
        connection.adapters.register_loader(oid, loader)


def vector(values: Float32Array) -> "Vector":
    """Return an array (N,) as a value that the driver writes."""
    from pgvector import Vector

    return Vector(values)


def floats(value: Any) -> Float32Array:
    """Return a vector (N,) from the driver as an array."""
    import numpy as np

    return np.asarray(value.to_numpy(), np.float32)


def _value(written: Any) -> Any:
    return written if hasattr(written, "to_binary") else vector(written)
