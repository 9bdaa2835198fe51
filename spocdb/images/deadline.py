"""A time limit for decoding, enforced by the file object that decoders read from."""

import io
import time

from spocdb.errors import UnreadableImage

# CPU time for one image. A photograph takes 0.1 s, the largest that the pixel limit allows a few
# seconds. Far below the 300 s of a worker's lease.
DECODE_SECONDS = 30.0


class TimedBytes(io.BytesIO):
    """An image file's bytes; reading them raises UnreadableImage after a time limit.

    Pillow reads JPEG, PNG, GIF, BMP and uncompressed TIFF block by block, so the limit stops
    decoding in the middle of an image. WebP, AVIF, HEIC and compressed TIFF are decoded in one
    call, whose time is bounded by the number of pixels. Formats that are opened apart have the
    same limit in their own process (images/sandbox.py).

    The limit counts CPU time of the thread, so that a busy machine refuses no image. An object must
    be used by the thread that made it.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._seconds = DECODE_SECONDS
        self._end = time.thread_time() + self._seconds

    def beside(self, data: bytes) -> "TimedBytes":
        """Return other bytes of the same image, with the same deadline."""
        other = TimedBytes(data)
        other._end = self._end
        return other

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as BytesIO does.

        Raises:
            UnreadableImage: The time limit has passed.
        """
        if time.thread_time() > self._end:
            raise UnreadableImage(
                f"decoding takes more than {self._seconds:g} s of computing: "
                "save the image again with another program"
            )
        return super().read(size)
