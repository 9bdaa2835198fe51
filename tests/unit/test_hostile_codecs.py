"""Hostile files of the formats that are opened apart: an error each, and this process goes on."""

import os
import random
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spocdb.errors import ImageError, ImageTooLarge, ProcessLost, UnreadableImage
from spocdb.images import sandbox
from spocdb.images.decode import upright
from spocdb.images.exif import exif_metadata
from tests.fixtures.formats import BLACK, each, jxl, pdf, saved, seen, video

EACH = each()


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Pillow's, of damaged EXIF
@pytest.mark.parametrize("name", EACH)
@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 20), st.booleans())
def test_damaged_files_are_pictures_or_errors(
    name: str, rng: random.Random, n_damaged: int, is_cut: bool
) -> None:
    data = bytearray(EACH[name])
    for _ in range(n_damaged):
        # Half of the damage is in the headers, which decoders follow.
        data[rng.randrange(rng.choice((min(400, len(data)), len(data))))] = rng.randrange(256)
    whole = bytes(data[: rng.randrange(1, len(data))] if is_cut else data)
    try:
        assert upright(whole, 10**7).mode == "RGB"
    except (UnreadableImage, ImageTooLarge) as error:
        assert "\n" not in str(error)
    exif_metadata(whole)


@pytest.mark.parametrize("name", EACH)
def test_a_cut_file_is_no_picture(name: str) -> None:
    with pytest.raises(ImageError):
        upright(EACH[name][:60], 10**7)


@pytest.mark.parametrize(
    ("number", "error", "told"),
    [
        (
            signal.SIGSEGV,
            UnreadableImage,
            r"ended a process \(Segmentation fault\): save the image",
        ),
        (signal.SIGXCPU, UnreadableImage, "more than 30 s of computing: save the image again"),
        (signal.SIGKILL, ProcessLost, r"ended a process \(Killed\): try it again later"),
    ],
)
def test_a_crash_of_a_decoder_is_one_error(number: int, error: type[Exception], told: str) -> None:
    data = jxl()
    upright(data, 10**6)
    (*others, child) = sandbox._children._idle
    for other in others:
        other.end()
    sandbox._children._idle[:] = [child]
    os.kill(child.pid, number)
    with pytest.raises(error, match=told):
        upright(data, 10**6)
    assert seen(data) == "rgbw"
    assert child not in sandbox._children._idle


def pages_for_ever() -> bytes:
    """Return a PDF of ten forms, each of which draws the next ten times: 10^10 rectangles."""

    def stream(head: bytes, content: bytes) -> bytes:
        return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (head, len(content), content)

    def form(inner: int) -> bytes:
        named = b"/Resources << /XObject << /F %d 0 R >> >>" % inner
        return b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] " + named

    draw = b"/F Do " * 10
    page = b"/Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 15 0 R "
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< " + page + b"/Resources << /XObject << /F 4 0 R >> >> >>",
        *(stream(form(n + 1), draw) for n in range(4, 13)),
        stream(form(13), b"0 0 9 9 re f"),
        stream(form(14), b"0 0 9 9 re f"),
        stream(b"", draw),
    ]
    data, places = b"%PDF-1.4\n", []
    for n, content in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (n, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    n = len(places) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n" % n
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (n, len(data))
    return data + head + table + trailer


def test_pages_that_compute_for_ever_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "DECODE_SECONDS", 0.3)
    with pytest.raises(UnreadableImage, match=r"more than 0\.3 s of computing"):
        upright(pages_for_ever(), 10**8)


def test_what_cannot_be_read_is_told_in_words() -> None:
    told = {
        pdf()[:200]: "cannot decode this PDF: Failed to load document (PDFium: Data format error).",
        video([BLACK])[:300]: "cannot decode this video: ",
        saved_without_pixels(): "cannot decode this JPEG 2000: ",
    }
    for data, text in told.items():
        with pytest.raises(UnreadableImage) as error:
            upright(data, 10**7)
        assert str(error.value).startswith(text)


def saved_without_pixels() -> bytes:
    return EACH["a.jp2"][:120]


def test_a_size_that_is_only_stated_takes_no_memory() -> None:
    data = bytearray(EACH["a.jp2"])
    at = data.index(b"ihdr") + 4
    data[at : at + 8] = (2**31 - 1).to_bytes(4, "big") * 2
    with pytest.raises(ImageTooLarge, match="2147483647 x 2147483647 pixels"):
        upright(bytes(data), 10**7)


def test_a_forked_process_starts_its_own() -> None:
    data = saved(Image.new("RGB", (8, 8)), "JPEG2000")
    upright(data, 100)
    before = [child.pid for child in sandbox._children._idle]
    if (pid := os.fork()) == 0:
        is_own = not sandbox._children._idle
        upright(data, 100)
        sandbox._children.close()
        os._exit(0 if is_own else 1)
    assert os.waitpid(pid, 0)[1] == 0
    upright(data, 100)
    assert [child.pid for child in sandbox._children._idle] == before
