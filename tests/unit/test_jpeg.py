"""JPEG: damaged metadata or a missing end marker lose no picture; missing pixels are an error."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import UnreadableImage
from spocdb.images.decode import decode, plain_jpeg, upright
from spocdb.images.jpeg import MAX_SCANS, JpegFile, clean
from spocdb.records import UInt8Array


def photograph(**options: Any) -> bytes:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.convert(options.pop("mode", "RGB")).save(stream, "JPEG", **options)
    return stream.getvalue()


def read(data: bytes) -> UInt8Array:
    return np.asarray(upright(data, 10**6))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def beginning(*segments: bytes) -> bytes:
    """Return the photograph with further segments in front."""
    data = photograph()
    return data[:2] + b"".join(segments) + data[2:]


IGNORED = {
    "short JFIF": segment(0xE0, b"JFIF\0"),
    "empty APP0": segment(0xE0, b""),
    "short Adobe": segment(0xEE, b"Adobe"),
    "short profile": segment(0xE2, b"ICC_PROFILE\0"),
    "profile without its rest": segment(0xE2, b"ICC_PROFILE\0\1\2abc"),
    "short MPF": segment(0xE2, b"MPF\0"),
    "short Photoshop": segment(0xED, b"Photoshop 3.0\0008BIM\4\4"),
    "comment": segment(0xFE, b"\xff\xd8\xff\xd9"),
    "short EXIF": segment(0xE1, b"Exif\0\0"),
    "senseless EXIF": segment(0xE1, b"Exif\0\0\xff\xd9garbage"),
    "junk between segments": segment(0xFE, b"") + b"junk\xff\xff\xff\0",
}


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("segments", IGNORED.values(), ids=IGNORED.keys())
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_what_pixels_do_not_need_costs_no_picture(segments: bytes, progressive: bool) -> None:
    whole = photograph(progressive=progressive)
    np.testing.assert_array_equal(read(whole[:2] + segments + whole[2:]), read(whole))


def test_a_profile_behind_the_frame_is_brought_to_its_front() -> None:
    profile = segment(0xE2, b"ICC_PROFILE\0\1\1profile")
    data = photograph()
    tables = data.index(b"\xff\xda")
    moved = clean(data[:tables] + profile + data[tables:]).data
    assert moved.index(profile) < moved.index(b"\xff\xc0")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [1, 2])
def test_an_end_may_be_missing(mode: str, progressive: bool, cut: int) -> None:
    whole = photograph(mode=mode, progressive=progressive)
    np.testing.assert_array_equal(read(whole[:-cut]), read(whole))


@pytest.mark.parametrize("progressive", [False, True])
def test_pixels_may_not_be_missing(progressive: bool) -> None:
    whole = photograph(progressive=progressive)
    begin = whole.index(b"\xff\xda") + 20
    after_marker = whole.index(b"\xff\0", begin) + 1
    for end in (*range(begin, len(whole) - 4, 23), after_marker, len(whole) - 4):
        with pytest.raises(
            UnreadableImage, match=r"^cannot decode this JPEG: the file is truncated"
        ):
            read(whole[:end])


def test_a_progressive_file_may_not_lack_whole_scans() -> None:
    whole = photograph(progressive=True)
    scan = whole.rindex(b"\xff\xda")
    # The tables of the last scan stand before it.
    with pytest.raises(UnreadableImage, match="truncated"):
        read(whole[: whole.rindex(b"\xff\xc4", 0, scan)])


def many_scans(n: int) -> bytes:
    """Return a progressive JPEG that repeats its last scan, which the format allows, `n` times."""
    whole = photograph(progressive=True)
    scan = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[scan:-2] * n + whole[-2:]


def test_too_many_scans_are_refused_before_any_is_decoded() -> None:
    own = photograph(progressive=True).count(b"\xff\xda")
    assert decode(many_scans(MAX_SCANS - own), 32, "warp", 10**6).width == 96
    message = rf"^a JPEG of {MAX_SCANS + 1} scans, more than the limit of {MAX_SCANS}"
    for data in (many_scans(MAX_SCANS + 1 - own), many_scans(MAX_SCANS + 1 - own)[:-2]):
        with pytest.raises(UnreadableImage, match=message):
            decode(data, 32, "warp", 10**6)
        with pytest.raises(UnreadableImage, match=message):
            upright(data, 10**6)


def test_what_comes_in_several_scans_is_known_by_its_header() -> None:
    assert JpegFile(photograph(progressive=True)).is_collected
    assert not JpegFile(photograph()).is_collected
    # The first scan has one of three components.
    data = photograph()
    scan = data.index(b"\xff\xda")
    alone = data[:scan] + segment(0xDA, b"\1\1\0\0\x3f\0") + data[scan:]
    assert JpegFile(alone).is_collected


def test_scans_of_other_pictures_in_the_file_do_not_count() -> None:
    thumbnails = segment(0xE7, b"\xff\xda" * 1000)
    behind = photograph(progressive=True) * MAX_SCANS
    for data in (beginning(thumbnails), photograph() + behind):
        np.testing.assert_array_equal(read(data), read(photograph()))


def test_more_segments_than_any_file_needs_are_refused() -> None:
    with pytest.raises(UnreadableImage, match="more than 10000 segments"):
        read(beginning(segment(0xFE, b"") * 10_001))


def test_a_gpu_is_given_what_it_can_read() -> None:
    assert plain_jpeg(photograph(), 10**6) is not None
    assert plain_jpeg(photograph()[:-2], 10**6) is None
    assert plain_jpeg(many_scans(MAX_SCANS), 10**6) is None


@pytest.mark.parametrize(
    "name", ["jpeg-without-eoi.jpg", "jpeg-short-jfif.jpg", "jpeg-short-icc-segment.jpg"]
)
def test_files_from_bug_reports_are_read(shared: Path, name: str) -> None:
    assert decode((shared / "data/cases" / name).read_bytes(), 32, "warp", 10**6).width == 96


def test_the_file_of_600_scans_is_refused(shared: Path) -> None:
    data = (shared / "data/cases/progressive-600-scans.jpg").read_bytes()
    with pytest.raises(UnreadableImage, match="606 scans"):
        decode(data, 32, "warp", 10**8)
