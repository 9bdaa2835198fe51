"""Decoding in a separate process gives the same pixels and errors; a crash loses one image."""

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import EmptyCrop, ImageTooLarge, ProcessLost, UnreadableImage
from spocdb.images.apart import Apart
from spocdb.images.decode import decode
from spocdb.pipeline.caution import Caution
from spocdb.records import PLAIN, Crop, ImageRef


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with closing(Apart()) as apart:
        yield apart


def picture(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 100, 50)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def test_pixels_and_errors_are_those_of_decoding_here(apart: Apart) -> None:
    data = picture(90, 60)
    here, there = decode(data, 64, "aspect", 10**6), apart.decode(data, 64, "aspect", 10**6)
    np.testing.assert_array_equal(here.pixels, there.pixels)
    assert (here.width, here.height) == (there.width, there.height) == (90, 60)
    with pytest.raises(ImageTooLarge, match="90 x 60 pixels are over the limit of 100") as large:
        apart.decode(data, 64, "aspect", 100)
    assert (large.value.field, large.value.bound) == ("max_pixels", 100)
    with pytest.raises(UnreadableImage, match="empty file"):
        apart.decode(b"", 64, "aspect", 100)


def test_a_part_of_a_picture_is_decoded_there_too(apart: Apart) -> None:
    stream = io.BytesIO()
    Image.linear_gradient("L").save(stream, "PNG")
    data = stream.getvalue()
    part = apart.decode(data, 64, "warp", 10**6, PLAIN, Crop(200, 200, 90, 30)).pixels
    here = decode(data, 64, "warp", 10**6, PLAIN, Crop(200, 200, 90, 30)).pixels
    np.testing.assert_array_equal(part, here)
    assert part.min() >= 200 and part.max() < 232
    with pytest.raises(EmptyCrop, match="holds no pixel of the 256 x 256 image"):
        apart.decode(data, 64, "warp", 10**6, PLAIN, Crop(256, 0, 1, 1))


def test_signals_to_stop_are_for_the_process_that_started_it(apart: Apart) -> None:
    apart.decode(picture(9, 9), 64, "warp", 10**6)
    pid = apart.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    apart.decode(picture(9, 9), 64, "warp", 10**6)
    assert apart.pid == pid


def megabytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


@pytest.mark.slow
def test_an_image_that_kills_it_is_lost_and_the_next_is_decoded(apart: Apart) -> None:
    apart.decode(picture(9, 9), 64, "warp", 10**6)
    pid = apart.pid
    assert pid is not None
    before, deadline = megabytes(pid), time.monotonic() + 60

    def kill_what_takes_memory() -> None:
        while megabytes(pid) < before + 100:
            assert time.monotonic() < deadline
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_what_takes_memory)
    killer.start()
    with pytest.raises(ProcessLost, match=r"^decoding it ended a process \(Killed\)"):
        apart.decode(picture(7000, 7000), 64, "warp", 10**9)
    killer.join()
    assert apart.decode(picture(9, 9), 64, "warp", 10**6).width == 9
    assert apart.pid != pid


def test_caution_covers_the_first_and_those_that_were_lost_before() -> None:
    def covered_by(caution: Caution, name: str) -> bool:
        return caution.covers([ImageRef(name)])

    with Caution(2, ["/lost"]) as caution:
        covered = [name for name in ("/a", "/b", "/c", "/lost", "/d") if covered_by(caution, name)]
        assert covered == ["/a", "/b", "/lost"]
    with Caution() as caution:
        assert not covered_by(caution, "/a")
