"""Pictures of results: the contact sheet of a search, the variance that a PCA explains."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, shorten
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from spocdb.errors import ConfigError, ImageError
from spocdb.images.decode import decode
from spocdb.images.regular import read_bytes
from spocdb.lettering import Lettering, one_line
from spocdb.progress import Say, silent
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
    """One answer of a search: where its picture lies, what to write below it, and its id."""

    path: str
    caption: str
    id: int | None = None


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
    say: Say = silent,
    lettering: Lettering | None = None,
) -> None:
    """Draw the query, with its crop, and the results in their order into the file `out`.

    `read` and `read_query` get the bytes of what is drawn. A picture that cannot be read becomes a
    grey tile that says why. Each tile has as much of its path as tells it from the others. `say`
    gets a line if no font of this machine has some of the characters.
    """
    check_sheet(out)
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
    save(out, sheet.save)
    if line := letters.complaint():
        say(line)


def apart(paths: Sequence[str]) -> list[str]:
    """Return for each path its name, with as many folders as tell it from the others.

    Of equal paths all is alike; what is no path, as a key of a table, stays whole.
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
    head(figure, title)
    each, total = figure.subplots(1, 2)
    each.bar(numbers, explained, width=0.8 if len(numbers) <= 64 else 1.0, color=ACCENT)
    each.set_title("explained by each component", loc="left", fontsize=10, color=GREY)
    each.set_xlim(0.4, len(numbers) + 0.6)
    # A line through one point is nothing to be seen.
    dot = "o" if len(numbers) == 1 else None
    total.plot(numbers, np.cumsum(explained), color=ACCENT, linewidth=2.2, marker=dot)
    total.set_title(
        "explained by the first components together", loc="left", fontsize=10, color=GREY
    )
    total.set_xscale("log", base=2)
    total.set_ylim(0, 1.02)
    for axes in (each, total):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:g} %"))
        style(axes)
    save(out, figure.savefig)


def head(figure: Any, title: str) -> None:
    """Write a plot's title, in fonts that have its characters."""
    text, families = Lettering().for_plots(title)
    look = {"color": INK, "fontsize": 14, "fontfamily": families}
    # A dollar sign is a dollar sign, not the beginning of a formula.
    figure.suptitle(text, x=0.015, ha="left", parse_math=False, **look)


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


@dataclass(frozen=True, slots=True)
class Label:
    """What stands below a picture: a heading and its number, a caption at the right, a name."""

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
    """Return a path that fits into a width: its folders and its name, each shortened by itself.

    So the ends of all of them stay, where names of one folder or series differ.
    """
    path = one_line(path)
    if letters.width(path, size) <= width:
        return path
    parts = path.split("/")
    room = width - letters.width("/" * (len(parts) - 1), size)
    wide = [letters.width(part, size) for part in parts]
    # What short ones leave goes to the long ones.
    for n, place in enumerate(sorted(range(len(parts)), key=wide.__getitem__)):
        share = min(wide[place], room / (len(parts) - n))
        parts[place] = letters.shortened(parts[place], share, size)
        room -= share
    # So many folders that even their ends are too wide.
    return letters.shortened("/".join(parts), width, size)


def matted(
    path: str | Path,
    side: int,
    max_pixels: int,
    crop: Crop | None = None,
    read: Read = read_file,
    letters: Lettering | None = None,
) -> Image.Image:
    """Return a grey square with the picture in it, or with why there is none."""
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
