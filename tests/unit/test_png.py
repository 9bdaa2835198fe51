"""PNG: damaged metadata lose no picture; a transparent colour is compared in full depth."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from spocdb.errors import UnreadableImage
from spocdb.images.decode import decode, upright
from spocdb.images.png import LONGEST_TEXT, SIGNATURE
from spocdb.records import UInt8Array

GREY, TRUECOLOUR, PALETTE = 0, 2, 3
WHITE = 255


def chunk(kind: bytes, content: bytes = b"", checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def header(width: int, height: int, depth: int, colour_type: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))


def png(rows: list[bytes], width: int, depth: int, colour_type: int, *others: bytes) -> bytes:
    """Return a PNG of packed rows, without filters, with further chunks before the pixels."""
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = (header(width, len(rows), depth, colour_type), *others, chunk(b"IDAT", pixels))
    return SIGNATURE + b"".join(parts) + chunk(b"IEND")


def read(data: bytes) -> UInt8Array:
    return np.asarray(upright(data, 10**6))


def plain(*others: bytes) -> bytes:
    """Return a PNG of 4 x 2 grey pixels of eight bits."""
    return png([bytes([0, 50, 100, 150])] * 2, 4, 8, GREY, *others)


def transparent_level(level: int) -> bytes:
    return chunk(b"tRNS", struct.pack(">H", level))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_one_transparent_level_of_grey_is_compared_in_its_own_depth(depth: int) -> None:
    """Each pixel has another grey level; only the transparent one becomes white."""
    levels = list(range(2 ** min(depth, 8))) if depth < 16 else [0, 1, 255, 256, 257, 40000, 65535]
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    packed = int(bits.ljust((len(bits) + 7) // 8 * 8, "0"), 2).to_bytes((len(bits) + 7) // 8, "big")
    for transparent in levels[:: max(1, len(levels) // 7)]:
        found = read(png([packed], len(levels), depth, GREY, transparent_level(transparent)))
        scaled = [round(level * 255 / (2**depth - 1)) for level in levels]
        scaled[levels.index(transparent)] = WHITE
        np.testing.assert_array_equal(found[0], np.repeat(scaled, 3).reshape(-1, 3))


@pytest.mark.parametrize("depth", [8, 16])
def test_one_transparent_colour_is_compared_in_its_own_depth(depth: int) -> None:
    kind = "B" if depth == 8 else "H"
    transparent = (1, 2, 3) if depth == 8 else (0x1234, 0x5678, 0x9ABC)
    near = (1, 2, 4) if depth == 8 else (0x1234, 0x5678, 0x9ABD)
    far = (200, 2, 3) if depth == 8 else (0x9934, 0x5678, 0x9ABC)
    row = struct.pack(f">9{kind}", *transparent, *near, *far)
    found = read(png([row], 3, depth, TRUECOLOUR, chunk(b"tRNS", struct.pack(">3H", *transparent))))
    shift = depth - 8
    expected = [[WHITE] * 3, [v >> shift for v in near], [v >> shift for v in far]]
    np.testing.assert_array_equal(found[0], expected)


def test_a_table_of_transparency_belongs_to_the_palette() -> None:
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 0]))
    found = read(png([b"\0\1"], 2, 8, PALETTE, palette, chunk(b"tRNS", b"\xff\0")))
    assert found[0].tolist() == [[255, 0, 0], [WHITE] * 3]


LONG = zlib.compress(bytes(4 * LONGEST_TEXT))
FRAME = struct.pack(">IIIIIHHBB", 0, 4, 2, 0, 0, 1, 10, 0, 0)
IGNORED = {
    "long text": chunk(b"zTXt", b"Comment\0\0" + LONG),
    "long international text": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
    "much text": chunk(b"tEXt", b"Comment\0" + bytes(LONGEST_TEXT)) * 70,
    "text of an unknown method": chunk(b"zTXt", b"Comment\0\7abc"),
    "damaged text": chunk(b"tEXt", b"Comment\0hello", checksum=1),
    "damaged EXIF": chunk(b"eXIf", b"MM\0*garbage", checksum=1),
    "senseless EXIF": chunk(b"eXIf", b"\xff" * 9),
    "many profiles": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(2**22 + 1))) * 2000,
    "many texts": chunk(b"zTXt", b"Raw profile type exif\0\0" + LONG) * 2000,
    "many readable texts": chunk(b"tEXt", b"Raw profile type exif\0" + bytes(2**19)) * 140,
    "EXIF as a damaged text": chunk(b"zTXt", b"Raw profile type exif\0\0" + LONG[:40]),
    "long profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(2**25))),
    "damaged profile": chunk(b"iCCP", b"name\0\0garbage"),
    "profile of an unknown method": chunk(b"iCCP", b"name\0\7" + LONG),
    "short pHYs": chunk(b"pHYs", b"\0\0"),
    "short gAMA": chunk(b"gAMA", b"\0"),
    "short cHRM": chunk(b"cHRM", b"\0" * 9),
    "short sRGB": chunk(b"sRGB"),
    "damaged sRGB": chunk(b"sRGB", b"\0", checksum=1),
    "short tRNS": chunk(b"tRNS", b"\0"),
    "damaged tRNS": chunk(b"tRNS", b"\0\0", checksum=1),
    "short acTL": chunk(b"acTL", b"\0"),
    "animation without frames": chunk(b"acTL", bytes(8)),
    "short fcTL": chunk(b"fcTL", b"\0"),
    "frames out of order": chunk(b"acTL", struct.pack(">II", 2, 0)) + 2 * chunk(b"fcTL", FRAME),
    "unknown": chunk(b"abCd", b"1234", checksum=1),
}


@pytest.mark.parametrize("others", IGNORED.values(), ids=IGNORED.keys())
def test_what_pixels_do_not_need_costs_no_picture(others: bytes) -> None:
    np.testing.assert_array_equal(read(plain(others)), read(plain()))


def test_damage_behind_the_pixels_costs_no_picture() -> None:
    data = plain()
    cut = data[:-12]
    for ending in (b"", chunk(b"tEXt", b"a\0b", checksum=1), b"\0\0\0\4????", data[-12:] + b"more"):
        np.testing.assert_array_equal(read(cut + ending), read(data))


def test_what_pixels_need_is_not_ignored() -> None:
    wrong = header(4, 2, 8, GREY)[:-4] + b"\0\0\0\0"
    for damaged in (
        plain().replace(header(4, 2, 8, GREY), wrong),
        png([b"\0\1"], 2, 8, PALETTE, chunk(b"PLTE", bytes(6), checksum=1)),
        plain()[:-26],
    ):
        with pytest.raises(UnreadableImage, match=r"^cannot decode this PNG: [a-zA-Z ]{8}"):
            read(damaged)


def test_more_chunks_than_any_file_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = plain(chunk(b"abCd") * 1000)
    np.testing.assert_array_equal(read(data), read(plain()))
    monkeypatch.setattr("spocdb.images.png.MOST_CHUNKS", 1000)
    with pytest.raises(UnreadableImage, match="more than 1000 chunks"):
        read(data)


@pytest.mark.parametrize(
    "name",
    [
        "png-ztxt-3mb.png",
        "png-iccp-1.2mb.png",
        "png-text-bad-crc.png",
        "png-phys-short.png",
        "unknown_compression_method.png",
        "chunk_no_fctl.png",
    ],
)
def test_files_from_bug_reports_are_read(shared: Path, name: str) -> None:
    assert decode((shared / "data/cases" / name).read_bytes(), 32, "warp", 10**6).width > 0
