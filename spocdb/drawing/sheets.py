"""The contact sheet of a search: the query, and the results in order."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, shorten

from PIL import Image, ImageDraw

from spocdb import outfiles
from spocdb.drawing.lettering import Lettering, one_line
from spocdb.drawing.look import ACCENT, GREY, INK, MAT, PAPER
from spocdb.errors import ConfigError, ImageError
from spocdb.images.decode import decode
from spocdb.images.regular import read_bytes
from spocdb.records import Crop
from spocdb.settings import DEFAULT_MAX_PIXELS

log = logging.getLogger(__name__)

MARGIN, GAP, COLUMNS = 56, 28, 5
TILE, QUERY, BELOW = 240, 520, 66

# Path or key of a picture -> its bytes; raises OSError or ImageError.
Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Tile:
    """One answer of a search: the path of its picture, the text below it, and its id."""

    path: str
    caption: str
    id: int | None = None


def read_file(path: str) -> bytes:
    """Read a picture's file."""
    return read_bytes(path)


def check_sheet(out: Path) -> None:
    """Check that a sheet can be written to `out`.

    Raises:
        ConfigError: The suffix is wrong, or the folder does not exist or is read-only.
    """
    outfiles.check(out, (".png", ".jpg", ".jpeg", ".webp"))


def draw_sheet(
    query: str | Path | None,
    results: Sequence[Tile],
    out: Path,
    crop: Crop | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    read: Read = read_file,
    read_query: Read = read_file,
    lettering: Lettering | None = None,
) -> None:
    """Draw the query, with its crop, and the results in order into the file `out`.

    `read` and `read_query` return the bytes of the results and of the query. A picture that cannot
    be read becomes a grey tile with the reason. Each tile shows the part of its path that
    distinguishes it from the others. Logs a warning if this machine has no font for a character.

    Raises:
        ConfigError: The sheet cannot be written, or would replace one of its pictures.
    """
    check_sheet(out)
    _refuse_picture(out, [*([] if query is None else [query]), *(tile.path for tile in results)])
    letters = lettering or Lettering()
    left = MARGIN if query is None else MARGIN + QUERY + 2 * GAP
    columns = max(1, min(COLUMNS, len(results)))
    rows = -(-len(results) // columns)
    grid = rows * (TILE + BELOW + GAP) - GAP
    height = max(grid, 0 if query is None else QUERY + BELOW)
    sheet = Image.new(
        "RGB", (left + columns * (TILE + GAP) - GAP + MARGIN, height + 2 * MARGIN), PAPER
    )
    if query is not None:
        picture = matted(query, QUERY, max_pixels, crop, read_query, letters)
        draw_tile(sheet, (MARGIN, MARGIN), picture, Label("query", Path(query).name), letters)
    names = apart([tile.path for tile in results])
    for rank, (tile, name) in enumerate(zip(results, names, strict=True)):
        row, column = divmod(rank, columns)
        corner = (left + column * (TILE + GAP), MARGIN + row * (TILE + BELOW + GAP))
        picture = matted(tile.path, TILE, max_pixels, read=read, letters=letters)
        number = "" if tile.id is None else f"id {tile.id}"
        draw_tile(sheet, corner, picture, Label(str(rank + 1), name, tile.caption, number), letters)
    with outfiles.replaced(out) as fresh:
        sheet.save(fresh)
    if line := letters.complaint():
        log.warning("%s", line)


def _refuse_picture(out: Path, pictures: Sequence[str | Path]) -> None:
    """Raise ConfigError if a sheet would be written over a picture that it shows."""
    if os.path.exists(out) and any(
        os.path.exists(picture) and os.path.samefile(out, picture) for picture in pictures
    ):
        raise ConfigError(f"cannot write {out}: it is a picture of the sheet: name another file")


def apart(paths: Sequence[str]) -> list[str]:
    """Return each path's name, with as many folders as distinguish it from the other paths.

    Equal paths give equal names. A text without a slash, such as a table's key, stays whole.
    """
    parts = [path.replace("\\", "/").split("/") for path in paths]
    shown = []
    for own in parts:
        others = [other for other in parts if other != own and other[-1] == own[-1]]
        n = 1
        while n < len(own) and any(other[-n:] == own[-n:] for other in others):
            n += 1
        shown.append("/".join(own[-n:]))
    return shown


@dataclass(frozen=True, slots=True)
class Label:
    """The text below a picture: a heading and a number, a caption on the right, a name."""

    heading: str
    name: str
    caption: str = ""
    number: str = ""


def draw_tile(
    sheet: Image.Image,
    corner: tuple[int, int],
    picture: Image.Image,
    label: Label,
    letters: Lettering,
) -> None:
    """Paste a square picture, and its label below it."""
    x, y = corner
    side = picture.width
    sheet.paste(picture, corner)
    letters.draw(sheet, (x, y + side + 12), label.heading, INK, 20)
    after = x + letters.width(label.heading, 20) + 10
    letters.draw(sheet, (after, y + side + 16), label.number, GREY, 15)
    letters.draw(sheet, (x + side, y + side + 12), label.caption, INK, 20, is_right=True)
    name = fitted(label.name, side, 15, letters)
    letters.draw(sheet, (x, y + side + 38), name, GREY, 15)


def fitted(path: str, width: float, size: int, letters: Lettering) -> str:
    """Shorten a path to a width in pixels; each folder and the name are shortened separately.

    This keeps the ends of all parts, in which the names of a folder or series differ.
    """
    path = one_line(path)
    if letters.width(path, size) <= width:
        return path
    parts = path.split("/")
    room = width - letters.width("/" * (len(parts) - 1), size)
    wide = [letters.width(part, size) for part in parts]
    # Short parts first, so that the space they leave goes to the long ones.
    for n, place in enumerate(sorted(range(len(parts)), key=wide.__getitem__)):
        share = min(wide[place], room / (len(parts) - n))
        parts[place] = letters.shortened(parts[place], share, size)
        room -= share
    # With many folders, even the shortened parts may be too wide.
    return letters.shortened("/".join(parts), width, size)


def matted(
    path: str | Path,
    side: int,
    max_pixels: int,
    crop: Crop | None = None,
    read: Read = read_file,
    letters: Lettering | None = None,
) -> Image.Image:
    """Return a grey square with the picture, or with the reason why it cannot be read."""
    mat = Image.new("RGB", (side, side), MAT)
    try:
        decoded = decode(read(str(path)), side, "aspect", max_pixels)
    except (OSError, ImageError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        _write_in_the_middle(mat, reason, letters or Lettering())
        return mat
    picture = Image.fromarray(decoded.pixels)
    if crop is not None:
        picture = _mark(picture, crop, side / max(decoded.width, decoded.height))
    mat.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return mat


def _write_in_the_middle(mat: Image.Image, text: str, letters: Lettering) -> None:
    lines = fill(shorten(text, 120), 26).splitlines()
    for n, line in enumerate(lines):
        x = (mat.width - letters.width(line, 16)) / 2
        letters.draw(mat, (x, mat.height / 2 + 20 * (n - len(lines) / 2)), line, GREY, 16)


def _mark(picture: Image.Image, crop: Crop, scale: float) -> Image.Image:
    left, top = round(crop.x * scale), round(crop.y * scale)
    right, bottom = round((crop.x + crop.width) * scale), round((crop.y + crop.height) * scale)
    marked = Image.blend(picture, Image.new("RGB", picture.size, PAPER), 0.6)
    marked.paste(picture.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(marked).rectangle((left, top, right - 1, bottom - 1), outline=ACCENT, width=3)
    return marked
