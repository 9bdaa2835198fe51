"""Decoding stops after a number of seconds, in the middle of an image."""

import io
import struct
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import UnreadableImage
from spocdb.images import deadline
from spocdb.images.deadline import DECODE_SECONDS, TimedBytes
from spocdb.images.decode import decode
from spocdb.images.formats import reading
from spocdb.worker import WorkerOptions

SIDE = 1500


def noise(mode: str = "RGB") -> Image.Image:
    channels = {"RGB": (3,), "L": ()}[mode]
    values = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, *channels), np.uint8)
    return Image.fromarray(values)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def run_lengths() -> bytes:
    """Return a run-length encoded BMP, which Pillow decodes byte by byte."""
    rows = b"\1\7" * (SIDE * SIDE) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, len(rows), 0, 0, 256, 0)
    palette = bytes(1024)
    return b"BM" + struct.pack("<IHHI", 1078 + len(rows), 0, 0, 1078) + header + palette + rows


SLOW: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(noise(), "JPEG", quality=95),
    "progressive JPEG": lambda: saved(noise(), "JPEG", quality=95, progressive=True),
    "PNG": lambda: saved(noise(), "PNG", compress_level=1),
    "GIF": lambda: saved(noise("L"), "GIF"),
    "BMP": run_lengths,
    "TIFF": lambda: saved(noise(), "TIFF"),
}


def test_a_jpeg_without_its_end_has_one_limit_for_all_its_decodings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = saved(noise(), "JPEG", quality=95).removesuffix(b"\xff\xd9")
    assert decode(data, 64, "warp", 10**7).width == SIDE
    began = time.thread_time()
    # With a limit of 0 s every decode fails. A further file of the same image shares its deadline.
    monkeypatch.setattr(deadline, "DECODE_SECONDS", 0.0)
    with pytest.raises(UnreadableImage, match="takes more than 0 s of computing"):
        decode(data, 64, "warp", 10**7)
    assert TimedBytes(b"").beside(b"x")._end <= began + time.thread_time()


@pytest.mark.parametrize("name", SLOW)
def test_decoding_ends_in_the_middle_of_an_image(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = SLOW[name]()
    with reading(data, 10**7) as image:
        # The header is read; no time is left for the pixels.
        monkeypatch.setattr(image.fp, "_end", 0.0)
        with pytest.raises(UnreadableImage, match=r"^decoding takes more than 30 s of computing: "):
            image.load()


def test_the_limit_holds_for_a_whole_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(noise(), "PNG", compress_level=1)
    assert decode(data, 32, "warp", 10**7).width == SIDE
    monkeypatch.setattr(deadline, "DECODE_SECONDS", 1e-4)
    with pytest.raises(UnreadableImage, match=r"^decoding takes more than 0.0001 s"):
        decode(data, 32, "warp", 10**7)


def test_the_limit_is_far_below_a_lease() -> None:
    lease: Any = next(f.default for f in fields(WorkerOptions) if f.name == "visibility")
    assert lease > 5 * DECODE_SECONDS


def test_bytes_in_time_are_those_of_the_file() -> None:
    stream = TimedBytes(b"abcdef")
    assert (stream.read(2), stream.read(), stream.read()) == (b"ab", b"cdef", b"")
    assert stream.getvalue() == b"abcdef"
