"""A limit of time for decoding, kept by the file object that decoders read from."""

import io
import time

from spocdb.errors import UnreadableImage

# Of computing for one image. A photograph takes a tenth of a second, the largest that the limit of
# pixels allows takes a few. Far below the 300 s of a worker's lease.
DECODE_SECONDS = 30.0


class TimedBytes(io.BytesIO):
    """An image file's bytes; reading them raises UnreadableImage after a limit of seconds.

    Pillow feeds its decoders block by block, so the limit ends decoding in the middle of an image:
    JPEG, PNG, GIF, BMP, and TIFF without compression. WebP, AVIF, HEIC and compressed TIFF are
    decoded in one call, whose time is bounded by the number of pixels.

    Counts the time that the thread computes, not the clock's: a busy machine refuses no image. So
    an object belongs to the thread that makes it.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._seconds = DECODE_SECONDS
        self._end = time.thread_time() + self._seconds

    def beside(self, data: bytes) -> "TimedBytes":
        """Return other bytes that belong to the same image: their time counts with its own."""
        other = TimedBytes(data)
        other._end = self._end
        return other

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as BytesIO does. Raises UnreadableImage once the time is over."""
        if time.thread_time() > self._end:
            raise UnreadableImage(
                f"decoding takes more than {self._seconds:g} s of computing: "
                "save the image again by another program"
            )
        return super().read(size)
