"""A work: one content between a source and a sink."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from spocdb.errors import ImageChanged, ImageError, ProcessLost
from spocdb.images.exif import exif_metadata
from spocdb.records import Decoded, Jpeg
from spocdb.sources.source import Get, Ref


@dataclass(slots=True)
class Work(Generic[Ref]):
    """One content in the pipeline, under one or more names.

    In the end it has an `error`, or a `picture`, or neither if its descriptor is stored already.
    `held` is the bytes that it holds of the budget, `needs` the additional bytes for decoding it.
    With `is_apart` it is decoded in a separate process.
    """

    refs: list[Ref]
    sha256: bytes = b""
    data: bytes = b""
    is_known: bool = False
    picture: Decoded | Jpeg | None = None
    error: ImageError | None = None
    # The file's EXIF, if requested.
    exif: dict[str, Any] = field(default_factory=dict)
    held: int = 0
    needs: int = 0
    is_apart: bool = False


def work_of(ref: Ref, get: Get, max_bytes: int, *, exif: bool = False) -> Work[Ref]:
    """Read an image's bytes into a work; on failure set its error."""
    if ref.problem:
        return Work([ref], error=ref.problem)
    try:
        data = get(max_bytes)
    except ImageError as exc:
        return Work([ref], error=exc)
    except MemoryError:
        return Work([ref], error=ProcessLost("there was no memory to read it: try it again later"))
    sha256 = hashlib.sha256(data).digest()
    if ref.sha256 not in (None, sha256):
        error = ImageChanged("it has other bytes than when it was ingested")
        return Work([ref], error=error)
    found = exif_metadata(data) if exif else {}
    return Work([replace(ref, size=len(data))], sha256, data, exif=found)
