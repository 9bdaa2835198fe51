"""Pictures of results: the contact sheet of a search, the variance that a PCA explains."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, shorten
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spocdb.errors import ConfigError, ImageError
from spocdb.images.decode import decode
from spocdb.images.regular import read_bytes
from spocdb.records import Crop, Float64Array
from spocdb.settings import DEFAULT_MAX_PIXELS

INK, GREY, LINES, MAT, PAPER = "#1a1a1a", "#8a8a8a", "#e4e4e1", "#f3f3f1", "#ffffff"
ACCENT = "#d6402b"
MARGIN, GAP, COLUMNS = 56, 28, 5
TILE, QUERY, BELOW = 240, 520, 66
BLOCKS = " ▏▎▍▌▋▊▉█"

# Gets the bytes of a picture by its path, or key; raises OSError or ImageError.
Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Tile:
    """One answer of a search: where its picture lies and what to write below it."""

    path: str
    caption: str


def read_file(path: str) -> bytes:
    """Read a file."""
    return read_bytes(path)


def check_sheet(out: Path) -> None:
    """Raise ConfigError if no sheet can be written to `out`."""
    check_name(out, (".png", ".jpg", ".jpeg", ".webp"))
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {out.parent}")


def draw_sheet(
    query: str | Path | None,
    results: Sequence[Tile],
    out: Path,
    crop: Crop | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    read: Read = read_file,
    read_query: Read = read_file,
) -> None:
    """Draw the query, with its crop, and the results in their order into the file `out`.

    `read` and `read_query` get the bytes of what is drawn. A picture that cannot be read becomes a
    grey tile that says why.
    """
    check_sheet(out)
    left = MARGIN if query is None else MARGIN + QUERY + 2 * GAP
    columns = max(1, min(COLUMNS, len(results)))
    rows = -(-len(results) // columns)
    grid = rows * (TILE + BELOW + GAP) - GAP
    height = max(grid, 0 if query is None else QUERY + BELOW)
    sheet = Image.new(
        "RGB", (left + columns * (TILE + GAP) - GAP + MARGIN, height + 2 * MARGIN), PAPER
    )
    if query is not None:
        picture = matted(query, QUERY, max_pixels, crop, read_query)
        draw_tile(sheet, (MARGIN, MARGIN), picture, "query", "", Path(query).name)
    for rank, tile in enumerate(results):
        row, column = divmod(rank, columns)
        corner = (left + column * (TILE + GAP), MARGIN + row * (TILE + BELOW + GAP))
        picture = matted(tile.path, TILE, max_pixels, read=read)
        draw_tile(sheet, corner, picture, str(rank + 1), tile.caption, Path(tile.path).name)
    save(out, sheet.save)


def draw_variance(explained: Float64Array, title: str, out: Path) -> None:
    """Draw each component's part of the variance and their sum into the file `out`."""
    # The object interface: pyplot would keep figures, and a window system, for the whole process.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import FuncFormatter

    check_name(out, (".png", ".svg", ".pdf"))
    numbers = np.arange(1, len(explained) + 1)
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.06)
    figure = Figure(figsize=(11, 4.6), dpi=160, layout=layout)
    figure.suptitle(title, x=0.015, ha="left", color=INK, fontsize=14)
    each, total = figure.subplots(1, 2)
    each.bar(numbers, explained, width=0.8 if len(numbers) <= 64 else 1.0, color=ACCENT)
    each.set_title("explained by each component", loc="left", fontsize=10, color=GREY)
    each.set_xlim(0.4, len(numbers) + 0.6)
    total.plot(numbers, np.cumsum(explained), color=ACCENT, linewidth=2.2)
    total.set_title(
        "explained by the first components together", loc="left", fontsize=10, color=GREY
    )
    total.set_xscale("log", base=2)
    total.set_ylim(0, 1.02)
    for axes in (each, total):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:g} %"))
        style(axes)
    save(out, figure.savefig)


def style(axes: Any) -> None:
    """Give a plot's axes the look that all plots have: few lines, plain numbers."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(colors=GREY, length=0, labelsize=9)
    axes.grid(axis="y", color=LINES, linewidth=0.8)
    axes.set_axisbelow(True)


def variance_bars(explained: Float64Array, width: int = 40) -> str:
    """Return lines for a terminal: the variance of the first 1, 2, 4, ... and of all components."""
    together = np.cumsum(explained)
    return "\n".join(
        f"{n:>6}  {_bar(together[n - 1], width)}  {together[n - 1]:6.1%}"
        for n in _doublings(len(explained))
    )


def _doublings(last: int) -> Iterator[int]:
    n = 1
    while n < last:
        yield n
        n *= 2
    if last:
        yield last


def _bar(part: float, width: int) -> str:
    full, eighths = divmod(round(min(part, 1.0) * width * 8), 8)
    return ("█" * full + BLOCKS[eighths] * (eighths > 0)).ljust(width)


def check_name(out: Path, suffixes: Sequence[str]) -> None:
    """Raise ConfigError for a file name without one of the suffixes."""
    if out.suffix.lower() not in suffixes:
        raise ConfigError(f"cannot write {out}: the name must end in {' or '.join(suffixes)}")


def save(out: Path, write: Callable[[Path], None]) -> None:
    """Write a picture to a file. Raises ConfigError."""
    try:
        write(out)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}") from error


def draw_tile(
    sheet: Image.Image,
    corner: tuple[int, int],
    picture: Image.Image,
    heading: str,
    caption: str,
    name: str,
) -> None:
    """Paste a square picture, and below it a heading, a caption at the right and a name."""
    x, y = corner
    side = picture.width
    sheet.paste(picture, corner)
    draw = ImageDraw.Draw(sheet)
    draw.text((x, y + side + 12), heading, INK, font(20))
    draw.text((x + side, y + side + 12), caption, INK, font(20), anchor="ra")
    draw.text((x, y + side + 38), shortened(name, side, font(15)), GREY, font(15))


def matted(
    path: str | Path,
    side: int,
    max_pixels: int,
    crop: Crop | None = None,
    read: Read = read_file,
) -> Image.Image:
    """Return a grey square with the picture in it, or with why there is none."""
    mat = Image.new("RGB", (side, side), MAT)
    try:
        decoded = decode(read(str(path)), side, "aspect", max_pixels)
    except (OSError, ImageError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        text = fill(shorten(reason, 120), 26)
        ImageDraw.Draw(mat).text((side / 2, side / 2), text, GREY, font(16), "mm", align="center")
        return mat
    picture = Image.fromarray(decoded.pixels)
    if crop is not None:
        picture = _mark(picture, crop, side / max(decoded.width, decoded.height))
    mat.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return mat


def _mark(picture: Image.Image, crop: Crop, scale: float) -> Image.Image:
    left, top = round(crop.x * scale), round(crop.y * scale)
    right, bottom = round((crop.x + crop.width) * scale), round((crop.y + crop.height) * scale)
    marked = Image.blend(picture, Image.new("RGB", picture.size, PAPER), 0.6)
    marked.paste(picture.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(marked).rectangle((left, top, right - 1, bottom - 1), outline=ACCENT, width=3)
    return marked


def shortened(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return a text that fits into a width in pixels, its middle left out."""
    # A file may be called anything: only what is one line of text can be drawn.
    shown = text = " ".join(text.encode(errors="replace").decode().split())
    keep = len(text)
    # The middle goes: names differ at their ends.
    while font.getlength(shown) > width and keep > 2:
        keep -= 1
        shown = f"{text[: keep - keep // 2]}…{text[-(keep // 2) :]}"
    return shown


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font in a size in pixels."""
    return ImageFont.load_default(size)
