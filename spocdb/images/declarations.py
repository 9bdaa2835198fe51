"""What a format declares: how its files are told apart, opened, and what that needs."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from PIL import Image, ImageFile

from spocdb.errors import ImageTooLarge

Opener = Callable[[bytes, int], ImageFile.ImageFile]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of image files.

    `suffixes` are separated by blanks. `claims` tells its files from others by their content; it
    also gets the first bytes alone.
    `open` gets the bytes and the most pixels that it may choose to render. `package` is imported
    to read it, and `extra` of spocdb installs that. With `is_apart` it is opened in a separate
    process, because its decoder may crash, or may not be used by several threads.
    `bytes_a_pixel` is what its decoder needs beside the picture itself.
    """

    name: str
    suffixes: str
    claims: Callable[[bytes], bool]
    open: Opener
    package: str | None = None
    extra: str | None = None
    is_apart: bool = False
    bytes_a_pixel: float = 0.0

    @property
    def install(self) -> str | None:
        """Return the command that installs what this format needs; None if it needs nothing."""
        return f"pip install 'spocdb[{self.extra}]'" if self.extra else None

    def is_read(self) -> bool:
        """Return whether this machine has what the format needs."""
        return self.package is None or is_installed(self.package)


class Deferred(ImageFile.ImageFile):
    """An opened picture of known size and mode, whose pixels `render` makes when they are loaded.

    `turn` is the EXIF orientation to apply (1 to 8). On loading, `info` gets what `render` finds in
    addition, such as a profile.
    """

    def __init__(
        self,
        size: tuple[int, int],
        mode: str,
        render: Callable[[], Image.Image],
        info: dict[str, Any] | None = None,
        turn: int = 1,
    ) -> None:
        self._header, self._render, self.turn = (size, mode), render, turn
        super().__init__(io.BytesIO())
        self.info.update(info or {})

    def _open(self) -> None:
        self._size, self._mode = self._header
        self.tile = [ImageFile._Tile("deferred", (0, 0, *self._size), 0, None)]

    def load(self) -> Any:
        """Render the pixels."""
        if self.tile:
            made = self._render()
            self.im, self._mode, self._size, self.tile = made.im, made.mode, made.size, []
            self.info.update(made.info)
        return super().load()


@cache
def is_installed(package: str) -> bool:
    """Return whether a package can be imported."""
    return find_spec(package) is not None


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Check a width and height against the limit of pixels.

    Raises:
        ImageTooLarge: The image has more than `max_pixels`.
    """
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width} x {height} pixels are over the limit of {max_pixels}: "
            "raise SPOCDB_MAX_PIXELS if you trust the file",
            field="max_pixels",
            bound=max_pixels,
        )
