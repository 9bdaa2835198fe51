"""Opens the formats that declare `is_apart` in separate processes, one for each decoding thread.

Whatever a file does to its decoder, this process only gets numbers, text, and pixels of the stated
number. A decoder is ended after a limit of computing, and cannot take more than a limit of memory.
"""

import atexit
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import BoundedSemaphore, Lock
from typing import Any

from PIL import Image, ImageFile

from spocdb.errors import ImageTooLarge, ProcessLost, UnreadableImage
from spocdb.images import codecs
from spocdb.images.deadline import DECODE_SECONDS
from spocdb.images.declarations import Deferred, Format
from spocdb.images.processes import Child, Died, Message, serve_with
from spocdb.machine import n_cores

# Address space of a process, of which it uses a part.
MOST_MEMORY = 8 * 2**30
# Channels of the modes that pixels come in; others are converted.
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
# Metadata that a picture takes with it, in bytes.
INFO = {"exif": 2**20, "icc_profile": 2**22}


def opened(format: Format, data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Open an image file in a separate process. Its pixels are decoded, there, when it is loaded.

    Raises:
        UnreadableImage: It ended the process.
        ImageTooLarge: The opener refused its size.
        ProcessLost: The system ended the process, for example for lack of memory.
        OSError: The decoder cannot read it.
    """
    asked = {"format": format.name, "max_pixels": max_pixels, "seconds": DECODE_SECONDS}
    header = _ask({**asked, "load": False}, data)
    made = Deferred(
        header["size"],
        header["mode"],
        partial(_loaded, {**asked, "load": True}, data),
        header["info"],
        header["turn"],
    )
    made.format = format.name
    return made


def _loaded(asked: dict[str, Any], data: bytes) -> Image.Image:
    picture = _ask(asked, data)
    image = Image.frombytes(picture["mode"], picture["size"], picture["pixels"])
    image.info.update(picture["info"])
    return image


class _Children:
    """Processes that wait for work; at most as many work at once as there are cores."""

    def __init__(self) -> None:
        self._idle: list[Child] = []
        self._lock, self._turns = Lock(), BoundedSemaphore(max(2, n_cores()))

    @contextmanager
    def lent(self) -> Iterator[Child]:
        """Lend a process for the block; it is not used again if it died."""
        with self._turns:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            child = child or Child(__name__)
            try:
                yield child
            except Died:
                raise
            except BaseException:
                self._keep(child)
                raise
            self._keep(child)

    def close(self) -> None:
        """End the processes that wait."""
        while self._idle:
            self._idle.pop().end()

    def _keep(self, child: Child) -> None:
        with self._lock:
            self._idle.append(child)


_children = _Children()
# Those of the process that this one was forked from: they are not this one's to use or to end.
_foreign: list[_Children] = []


def _forked() -> None:
    global _children
    _foreign.append(_children)
    _children = _Children()


os.register_at_fork(after_in_child=_forked)
atexit.register(lambda: _children.close())


def _ask(asked: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        with _children.lent() as child:
            answer: dict[str, Any] = child.ask(asked, data, _read)
    except Died as died:
        raise _lost(died) from None
    if "error" in answer:
        if answer["is_too_large"]:
            raise ImageTooLarge(answer["error"], field=answer["field"], bound=answer["bound"])
        raise OSError(answer["error"])
    return answer


def _lost(died: Died) -> UnreadableImage | ProcessLost:
    if died.code == -signal.SIGXCPU:
        return UnreadableImage(
            f"decoding takes more than {DECODE_SECONDS:g} s of computing: "
            "save the image again with another program"
        )
    if died.code == -signal.SIGKILL:
        return ProcessLost(f"decoding it ended a process ({died}): try it again later")
    return UnreadableImage(
        f"decoding it ended a process ({died}): save the image again with another program"
    )


def _read(header: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Check an answer. Raises ValueError, KeyError or TypeError for a malformed one."""
    if "error" in header:
        field, bound = header["field"], header["bound"]
        if not (isinstance(field, str | None) and isinstance(bound, int | None)):
            raise TypeError("a limit is a name and a number")
        told = {"error": str(header["error"]), "is_too_large": header["is_too_large"] is True}
        return {**told, "field": field, "bound": bound}
    width, height = map(int, header["size"])
    mode, turn = str(header["mode"]), int(header["turn"])
    n_pixels = width * height * MODES[mode]
    if min(width, height) < 1 or not 1 <= turn <= 8:
        raise ValueError("no size of a picture")
    info, at = {}, 0
    for name in INFO:
        if length := max(int(header["lengths"].get(name, 0)), 0):
            info[name], at = body[at : at + length], at + length
    # Pixels may be large, and are not copied.
    pixels = memoryview(body)[at:]
    if len(pixels) != (n_pixels if header["is_loaded"] is True else 0):
        raise ValueError("pixels of another number")
    told = {"size": (width, height), "mode": mode, "turn": turn}
    return {**told, "info": info, "pixels": pixels}


def serve() -> None:
    """Open and decode images from stdin until it closes."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve_with(_answer)


def _answer(asked: dict[str, Any], data: bytes) -> Message:
    _limit_computing(asked["seconds"])
    try:
        return _looked_at(asked, data)
    except ImageTooLarge as exc:
        told = {"error": str(exc), "is_too_large": True}
        return {**told, "field": exc.field, "bound": exc.bound}, b""
    except MemoryError:
        text = f"decoding it takes more than {MOST_MEMORY >> 30} GB of memory"
    # Decoders can raise any exception on hostile bytes.
    except Exception as exc:
        text = " ".join(str(exc).split()) or type(exc).__name__
    return {"error": text, "is_too_large": False, "field": None, "bound": None}, b""


def _looked_at(asked: dict[str, Any], data: bytes) -> Message:
    # Imported here: it imports this module.
    from spocdb.images.formats import orientation

    format = next(format for format in codecs.declared() if format.name == asked["format"])
    image: Image.Image = format.open(data, asked["max_pixels"])
    turn, pixels = orientation(image), b""
    if asked["load"]:
        image.load()
        image = image if image.mode in MODES else image.convert("RGB")
        pixels = image.tobytes()
    info = {
        name: image.info[name]
        for name, most in INFO.items()
        if isinstance(image.info.get(name), bytes) and len(image.info[name]) <= most
    }
    header = {
        "size": image.size,
        "mode": image.mode if image.mode in MODES else "RGB",
        "turn": turn,
        "is_loaded": asked["load"],
        "lengths": {name: len(value) for name, value in info.items()},
    }
    return header, b"".join(info.values()) + pixels


def _limit_computing(seconds: float) -> None:
    """End this process, by SIGXCPU, when it has computed for that long from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
