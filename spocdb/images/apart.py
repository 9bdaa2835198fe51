"""Decoding in a separate process, so that a crash of a decoder ends only that process.

The request holds an image and how to fit it, the answer pixels or an error.
"""

from dataclasses import asdict
from threading import Lock
from typing import Any

import numpy as np

from spocdb.errors import EmptyCrop, ImageError, ImageTooLarge, ProcessLost, UnreadableImage
from spocdb.images.decode import decode
from spocdb.images.processes import Child, Died, Message, serve_with
from spocdb.recipe_options import Fit
from spocdb.records import PLAIN, Canvas, Crop, Decoded

RAISED = (ImageTooLarge, UnreadableImage, EmptyCrop, ProcessLost)


class Apart:
    """A process that decodes one image at a time; starts on first use, restarts after a crash."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._is_closed, self._lock = False, Lock()

    @property
    def pid(self) -> int | None:
        """Return the process's id, or None if it does not run."""
        return self._child.pid if self._child else None

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
            child = self._child = self._child or Child(__name__)
            try:
                done: Decoded = child.ask(asked, data, _decoded)
            except Died as died:
                self._child = None
                raise ProcessLost(
                    f"decoding it ended a process ({died}): it is left out until it "
                    "changes, or until `db.ingest(retry_failed=True)`"
                ) from None
            return done

    def close(self) -> None:
        """Kill the process, even while it decodes."""
        self._is_closed = True
        if child := self._child:
            child.kill()
        with self._lock:
            if child := self._child:
                self._child = None
                child.end()


def serve() -> None:
    """Decode images from stdin until it closes."""
    serve_with(_answer)


def _answer(asked: dict[str, Any], data: bytes) -> Message:
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


def _decoded(header: dict[str, Any], body: bytes) -> Decoded:
    if "error" in header:
        kinds: dict[str, type[ImageError]] = {kind.__name__: kind for kind in RAISED}
        about = {name: header.get(name) for name in ("field", "bound")}
        if not all(isinstance(value, str | int | None) for value in about.values()):
            raise TypeError("an error is described by numbers and text alone")
        raise kinds[header["error"]](str(header["message"]), **about)
    pixels = np.frombuffer(body, np.uint8).reshape(header["shape"])
    return Decoded(pixels, int(header["width"]), int(header["height"]))
