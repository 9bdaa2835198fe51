"""Decoding in a separate process, so that a crash of a decoder ends only that process.

A message is a JSON header and bytes. The request holds an image and how to fit it, the answer
pixels or an error. An image could take the process over, so the answer is read as numbers and text
only.
"""

import json
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from threading import Lock
from typing import IO, Any

import numpy as np

from spocdb import errors
from spocdb.errors import EmptyCrop, ImageError, ImageTooLarge, ProcessLost, UnreadableImage
from spocdb.images.decode import decode
from spocdb.recipe_options import Fit
from spocdb.records import PLAIN, Canvas, Crop, Decoded

# The lengths of a header and of the bytes that follow it.
LENGTHS = struct.Struct("<QQ")
RAISED = (ImageTooLarge, UnreadableImage, EmptyCrop, ProcessLost)
PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from spocdb.images.apart import serve; serve()"
# Timeout for the process to exit after its pipe has closed; then it is killed.
SECONDS_TO_DIE = 5.0


class Apart:
    """A process that decodes one image at a time; starts on first use, restarts after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed, self._lock = False, Lock()

    @property
    def pid(self) -> int | None:
        """Return the process's id, or None if it does not run."""
        return self._process.pid if self._process else None

    def decode(
        self,
        data: bytes,
        size: int,
        fit: Fit,
        max_pixels: int,
        canvas: Canvas = PLAIN,
        crop: Crop | None = None,
    ) -> Decoded:
        """Decode as `images.decode.decode` does.

        Raises:
            ImageError: As for `images.decode.decode`.
            ProcessLost: The image ended the process, or `close` was called.
        """
        asked = {
            "size": size,
            "fit": fit,
            "max_pixels": max_pixels,
            "canvas": asdict(canvas),
            "crop": crop and asdict(crop),
        }
        with self._lock:
            if self._is_closed:
                raise ProcessLost("the run was interrupted")
            process = self._process = self._process or _start()
            try:
                _send(process.stdin, asked, data)
                return _decoded(*_receive(process.stdout))
            # The process died, or its answer is malformed.
            except (OSError, EOFError, ValueError, KeyError, TypeError):
                self._process = None
                raise ProcessLost(
                    f"decoding it ended a process ({_end(process)}): it is left out until it "
                    "changes, or until `db.ingest(retry_failed=True)`"
                ) from None

    def close(self) -> None:
        """Kill the process, even while it decodes."""
        self._is_closed = True
        if process := self._process:
            process.kill()
        with self._lock:
            if process := self._process:
                self._process = None
                _end(process)


def serve() -> None:
    """Decode images from stdin until it closes."""
    # Ignore signals sent to the process group: the parent handles them and closes stdin.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # If memory runs out, Linux kills this process first.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    _send(answers, {})
    with suppress(EOFError, BrokenPipeError):
        while True:
            asked, data = _receive(requests)
            _send(answers, *_answer(asked, data))


def _answer(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        canvas = Canvas(**asked["canvas"])
        crop = asked["crop"] and Crop(**asked["crop"])
        done = decode(data, asked["size"], asked["fit"], asked["max_pixels"], canvas, crop)
    except ImageError as exc:
        about = {"field": exc.field, "bound": exc.bound}
        return {"error": type(exc).__name__, "message": str(exc), **about}, b""
    except MemoryError:
        message = "there was no memory to decode it: try it again later"
        return {"error": ProcessLost.__name__, "message": message}, b""
    header = {"shape": done.pixels.shape, "width": done.width, "height": done.height}
    return header, np.ascontiguousarray(done.pixels).tobytes()


def _start() -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        # Use this process's module path; -P keeps the current folder out of it.
        [sys.executable, "-P", "-c", PROGRAM, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    # Wait for the ready message: a death before it is not the fault of an image.
    try:
        _receive(process.stdout)
    except EOFError as exc:
        raise errors.SpocdbError(
            f"cannot start a process to decode in ({_end(process)}): check the memory"
        ) from exc
    return process


def _end(process: "subprocess.Popen[bytes]") -> str:
    """Wait for a dying process; return its exit code or signal as text."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    process.stdout.close()
    try:
        code = process.wait(SECONDS_TO_DIE)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return signal.strsignal(-code) or f"signal {-code}" if code < 0 else f"exit code {code}"


def _decoded(header: dict[str, Any], body: bytes) -> Decoded:
    if "error" in header:
        kinds: dict[str, type[ImageError]] = {kind.__name__: kind for kind in RAISED}
        about = {name: header.get(name) for name in ("field", "bound")}
        if not all(isinstance(value, str | int | None) for value in about.values()):
            raise TypeError("an error is described by numbers and text alone")
        raise kinds[header["error"]](str(header["message"]), **about)
    pixels = np.frombuffer(body, np.uint8).reshape(header["shape"])
    return Decoded(pixels, int(header["width"]), int(header["height"]))


def _send(stream: IO[bytes] | None, header: dict[str, Any], data: bytes = b"") -> None:
    assert stream is not None
    text = json.dumps(header).encode()
    stream.write(LENGTHS.pack(len(text), len(data)))
    stream.write(text)
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> tuple[dict[str, Any], bytes]:
    assert stream is not None
    n_header, n_data = LENGTHS.unpack(_exactly(stream, LENGTHS.size))
    return json.loads(_exactly(stream, n_header)), _exactly(stream, n_data)


def _exactly(stream: IO[bytes], n: int) -> bytes:
    data = stream.read(n)
    if len(data) < n:
        raise EOFError
    return data
