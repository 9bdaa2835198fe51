"""Text on pictures in any script, using a font of this machine for each character.

Pillow's own font has little more than ASCII. DejaVu Sans, which comes with matplotlib, adds
Cyrillic, Greek, Hebrew and symbols. CJK, Indic scripts and colour emoji need a system font.
Characters that no font has are written as code points.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

# Characters of Pillow's own font. A text with any other character is drawn in DejaVu as far as
# possible, so that its letters match.
PLAIN = frozenset(map(chr, range(0x20, 0x7F))) | {"…"}
# Sans-serif fonts come first. Bold and other faces have the same characters as the regular one, and
# the Last Resort font draws a box for every character.
LATER = ("serif", "mono")
NEVER = ("lastresort", "bold", "black", "light", "thin", "cond", "ital", "obliq")
# Colour emoji fonts have bitmaps of one size, which are scaled: Noto's, Apple's, others'.
BITMAP_SIZES = (109, 160, 136, 128)
EMOJI, LAST_EMOJI = "\U0001f000", "\U0001faff"
# Longer than fits below any picture. Texts are cut to this first, because measuring is slow.
LONGEST = 400

PACKAGES = {
    **dict.fromkeys(("CJK", "Hiragana", "Katakana", "Hangul"), "fonts-noto-cjk"),
    "emoji": "fonts-noto-color-emoji",
}


class Lettering:
    """Fonts, and the characters that they lack; one object per picture.

    `fonts` are the font files in order of preference, None for those of this machine.
    """

    def __init__(self, fonts: Sequence[Path] | None = None) -> None:
        self._fonts = fonts
        self._found: dict[str, Path | None] = {}
        self._missing: dict[str, None] = {}

    def complaint(self) -> str | None:
        """Return a message on the scripts without a font and the packages to install, or None."""
        if not self._missing:
            return None
        scripts = list(dict.fromkeys(map(_script, self._missing)))
        packages = list(dict.fromkeys(PACKAGES.get(s, "fonts-noto-core") for s in scripts))
        return (
            f"no font of this machine has {', '.join(scripts)}: drawn as code points; install "
            f"one, on Debian and Ubuntu `apt install {' '.join(packages)}`"
        )

    def width(self, text: str, size: int) -> float:
        """Return the width of a text in pixels."""
        return sum(_length(path, run, size) for path, run in self._runs(text))

    def draw(
        self,
        sheet: Image.Image,
        corner: tuple[float, float],
        text: str,
        colour: str,
        size: int,
        *,
        is_right: bool = False,
    ) -> None:
        """Draw a line of text; `corner` is its upper left one, with `is_right` its upper right."""
        x, y = corner
        if is_right:
            x -= self.width(text, size)
        # All fonts share one baseline.
        baseline = y + _face(None, size)[0].getmetrics()[0]
        for path, run in self._runs(text):
            _paint(sheet, (x, baseline), run, colour, path, size)
            x += _length(path, run, size)

    def shortened(self, text: str, width: float, size: int) -> str:
        """Shorten a text to a width in pixels by leaving out its middle."""
        text = one_line(text)
        if len(text) > LONGEST:
            text = text[: LONGEST // 2] + text[-LONGEST // 2 :]
        shown, keep = text, len(text)
        # Cut the middle, because names differ at their ends.
        while self.width(shown, size) > width and keep > 2:
            keep -= 1
            shown = f"{text[: keep - keep // 2]}…{text[-(keep // 2) :]}"
        return shown

    def for_plots(self, text: str) -> tuple[str, list[str]]:
        """Return a text for matplotlib, and matplotlib's names of the fonts that it needs.

        Characters that matplotlib cannot draw, such as colour emoji, become code points.
        """
        runs = [(_family(path), run) for path, run in self._runs(one_line(text))]
        families = dict.fromkeys(family for family, _ in runs if family)
        return "".join(run if family else _code_points(run) for family, run in runs), [*families]

    def _runs(self, text: str) -> list[tuple[Path | None, str]]:
        """Split a text into runs of one font; None is Pillow's own font."""
        if PLAIN.issuperset(text):
            return [(None, text)] if text else []
        found: list[tuple[Path | None, str]] = []
        for char in text:
            path = self._font_of(char)
            if _is_mark(char):
                # A mark uses the font of the character before, such as an emoji's variation.
                path = found[-1][0] if found else None
                if path is None:
                    continue
            found.append((path, char))
        return [
            (path, run) if path else (_dejavu(), _code_points(run)) for path, run in _joined(found)
        ]

    def _font_of(self, char: str) -> Path | None:
        if char not in self._found:
            self._found[char] = self._look_for(char)
        return self._found[char]

    def _look_for(self, char: str) -> Path | None:
        fonts = [_dejavu(), *(_system_fonts() if self._fonts is None else self._fonts)]
        if char >= EMOJI:
            fonts.sort(key=lambda path: "emoji" not in path.name.lower())
        path = next((path for path in fonts if ord(char) in _characters(path)), None)
        if path is None and not _is_mark(char) and _script(char):
            self._missing[char] = None
        return path


def one_line(text: str) -> str:
    """Return a text without line breaks and unencodable characters, which file names may have."""
    return " ".join(text.encode(errors="replace").decode().split())


def _joined(chars: list[tuple[Path | None, str]]) -> Iterator[tuple[Path | None, str]]:
    for path, group in groupby(chars, key=lambda pair: pair[0]):
        yield path, "".join(char for _, char in group)


def _code_points(text: str) -> str:
    return f"[{' '.join(f'U+{ord(char):04X}' for char in text)}]"


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Cf", "Mn", "Me") or "\U0001f3fb" <= char <= "\U0001f3ff"


def _script(char: str) -> str:
    """Return a character's script, the first word of its Unicode name; "" without a name."""
    # "Cn" includes emoji that are newer than Python's Unicode tables.
    if EMOJI <= char <= LAST_EMOJI and unicodedata.category(char) in ("So", "Cn"):
        return "emoji"
    name: str = unicodedata.name(char, "")
    word = name.partition(" ")[0]
    return word if word == "CJK" else word.capitalize()


@cache
def _dejavu() -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@cache
def _system_fonts() -> list[Path]:
    from matplotlib.font_manager import findSystemFonts

    names = {Path(path): Path(path).name.lower() for path in findSystemFonts()}
    regular = [path for path, name in names.items() if not any(word in name for word in NEVER)]
    return sorted(regular, key=lambda path: (any(w in names[path] for w in LATER), path))


@cache
def _family(path: Path | None) -> str | None:
    """Return matplotlib's name of a font, or None if matplotlib cannot draw with it."""
    from matplotlib.font_manager import FontProperties, fontManager

    if path is None:
        return "DejaVu Sans"
    try:
        if all(entry.fname != str(path) for entry in fontManager.ttflist):
            # The font was installed after matplotlib cached its list of fonts.
            fontManager.addfont(path)
        return FontProperties(fname=path).get_name()
    # A bitmap font, or a broken one.
    except (OSError, RuntimeError, ValueError, NotImplementedError):
        return None


@cache
def _characters(path: Path) -> frozenset[int]:
    """Return a font's code points; none if the file is no font."""
    from fontTools.ttLib import TTFont

    try:
        # Opened here, because fontTools would not close a file that is no font.
        with open(path, "rb") as stream, TTFont(stream, fontNumber=0, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    # The parser can raise any exception on a broken font; another font may have the character.
    except Exception:
        return frozenset()


@cache
def _face(path: Path | None, size: int) -> tuple[ImageFont.FreeTypeFont, float]:
    """Return a font in a size, and the factor by which its drawing must be scaled."""
    if path is not None:
        for bitmap_size in (size, *BITMAP_SIZES):
            with suppress(OSError):  # the font has bitmaps of another size
                return ImageFont.truetype(path, bitmap_size), size / bitmap_size
    default = ImageFont.load_default(size)
    assert isinstance(default, ImageFont.FreeTypeFont), "a size gives an outline font"
    return default, 1.0


def _length(path: Path | None, text: str, size: int) -> float:
    font, scale = _face(path, size)
    return font.getlength(text) * scale


def _paint(
    sheet: Image.Image,
    place: tuple[float, float],
    text: str,
    colour: str,
    path: Path | None,
    size: int,
) -> None:
    """Draw a run of one font on its baseline."""
    font, scale = _face(path, size)
    if scale == 1:
        ImageDraw.Draw(sheet).text(place, text, colour, font, anchor="ls", embedded_color=True)
        return
    width, height = round(font.getlength(text)) or 1, round(size / scale * 1.3)
    drawn = Image.new("RGBA", (width, height))
    ImageDraw.Draw(drawn).text((0, height), text, colour, font, anchor="ld", embedded_color=True)
    smaller = drawn.resize((max(1, round(width * scale)), max(1, round(height * scale))))
    sheet.paste(smaller, (round(place[0]), round(place[1] - smaller.height * 0.85)), smaller)
