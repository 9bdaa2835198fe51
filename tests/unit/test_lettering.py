"""Text in any script, on any machine: the fonts are made by the tests, or matplotlib's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageFont

from spocdb.drawing import lettering
from spocdb.drawing.lettering import Lettering
from spocdb.records import UInt8Array

SIZE = 20
NOTHING: list[Path] = []


def make_font(file: Path, characters: str) -> Path:
    """Make a font whose characters are black squares."""
    builder = FontBuilder(1000)
    names = [".notdef", *(f"u{ord(c):X}" for c in characters)]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):X}" for c in characters})
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    builder.setupGlyf({name: square for name in names})
    builder.setupHorizontalMetrics({name: (1000, 0) for name in names})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": file.stem, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=1000, sTypoDescender=0)
    builder.setupPost()
    builder.save(file)
    return file


def drawn(letters: Lettering, text: str) -> UInt8Array:
    sheet = Image.new("L", (400, 40), "white").convert("RGB")
    letters.draw(sheet, (0, 5), text, "black", SIZE)
    return np.asarray(sheet.convert("L"))


def test_what_is_in_pillows_own_font_is_drawn_in_it() -> None:
    letters = Lettering(NOTHING)
    assert letters.width("photo-1.jpg…", SIZE) == pytest.approx(
        lettering._face(None, SIZE)[0].getlength("photo-1.jpg…")
    )
    assert letters.complaint() is None


@pytest.mark.parametrize("text", ["кот", "Größe", "γάτα", "חתול", "قط"])
def test_scripts_of_the_font_that_comes_along_are_drawn(text: str) -> None:
    letters = Lettering(NOTHING)
    picture = drawn(letters, text)
    assert letters.complaint() is None
    # It is not the box of a missing glyph, which looks the same for every character.
    assert not np.array_equal(picture, drawn(letters, "\ufffd" * len(text)))
    assert (picture < 128).sum() > 50
    assert "U+" not in letters.for_plots(text)[0]


def test_a_character_is_drawn_by_the_first_font_that_has_it(tmp_path: Path) -> None:
    fonts = [make_font(tmp_path / "one.ttf", "画"), make_font(tmp_path / "two.ttf", "画像")]
    letters = Lettering(fonts)
    assert [path for path, _ in letters._runs("a画像b")] == [
        lettering._dejavu(),
        *fonts,
        lettering._dejavu(),
    ]
    picture = drawn(letters, "画像")
    # Two squares side by side.
    columns = (picture < 128).sum(axis=0)
    assert (columns[:40] >= SIZE - 1).all() and (columns[41:] == 0).all()
    assert letters.width("画像", SIZE) == pytest.approx(2 * SIZE)
    assert letters.complaint() is None


def test_what_no_font_has_is_its_code_point_and_said_once(tmp_path: Path) -> None:
    letters = Lettering([make_font(tmp_path / "one.ttf", "画")])
    runs = [run for _, run in letters._runs("画像猫.jpg")]
    assert runs == ["画", "[U+50CF U+732B]", ".jpg"]
    letters.width("ねこ 고양이 \U0001f9e8 हि", SIZE)
    assert letters.complaint() == (
        "no font of this machine has CJK, Hiragana, Hangul, emoji, Devanagari: drawn as code "
        "points; install one, on Debian and Ubuntu "
        "`apt install fonts-noto-cjk fonts-noto-color-emoji fonts-noto-core`"
    )


def test_the_parts_of_an_emoji_stay_together(tmp_path: Path) -> None:
    fonts = [make_font(tmp_path / "symbols.ttf", "👍"), make_font(tmp_path / "My-Emoji.ttf", "👍")]
    letters = Lettering(fonts)
    for text in ("👍🏽", "👍\ufe0f", "👍\u200d👍"):
        assert letters._runs(text) == [(fonts[1], text)], "the font of emoji comes first"
    assert letters._runs("\ufe0f") == []
    assert letters.complaint() is None


def test_bitmaps_of_one_size_are_scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    font = make_font(tmp_path / "emoji.ttf", "😺")
    real = ImageFont.truetype

    def only_109(file: Any, size: float, **options: Any) -> object:
        if file == font and size != 109:
            raise OSError("invalid pixel size")
        return real(file, size, **options)

    monkeypatch.setattr(ImageFont, "truetype", only_109)
    letters = Lettering([font])
    assert letters.width("😺", 19) == pytest.approx(19, abs=0.5)
    sheet = Image.new("RGB", (60, 60), "white")
    letters.draw(sheet, (10, 10), "😺", "black", 19)
    rows, columns = np.nonzero(np.asarray(sheet.convert("L")) < 128)
    assert columns.min() >= 9 and columns.max() <= 30
    assert 17 <= np.ptp(rows) + 1 <= 21


@pytest.mark.parametrize("content", [b"", b"no font", bytes(1000)])
def test_a_broken_font_is_passed_over(content: bytes, tmp_path: Path) -> None:
    (broken := tmp_path / "broken.ttf").write_bytes(content)
    cut = make_font(tmp_path / "cut.ttf", "画")
    cut.write_bytes(cut.read_bytes()[:400])
    good = make_font(tmp_path / "good.ttf", "画")
    assert Lettering([broken, cut, tmp_path / "gone.ttf", good])._runs("画") == [(good, "画")]


@pytest.mark.parametrize("text", ["a" * 5000, "画" * 300, "кот" * 100, "wide" * 20])
def test_a_long_text_is_cut_in_the_middle(text: str, tmp_path: Path) -> None:
    letters = Lettering([make_font(tmp_path / "one.ttf", "画")])
    shown = letters.shortened(text, 200, SIZE)
    assert letters.width(shown, SIZE) <= 200
    assert "…" in shown
    assert (shown[0], shown[-1]) == (text[0], text[-1])


@pytest.mark.parametrize("text", ["", "a\nb", "\udcff", "\x07", "\u200b", "\U0010ffff", "é\u0301"])
def test_any_text_is_drawn_in_one_line(text: str) -> None:
    letters = Lettering(NOTHING)
    shown = letters.shortened(text, 200, SIZE)
    assert "\n" not in shown
    drawn(letters, shown)
    assert letters.complaint() is None


def test_fonts_of_this_machine_are_looked_through_only_when_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never() -> list[Path]:
        raise AssertionError("looked for fonts")

    monkeypatch.setattr(lettering, "_system_fonts", never)
    drawn(Lettering(), "plain name.jpg")


def test_a_plots_text_is_what_matplotlib_can_draw(tmp_path: Path) -> None:
    font = make_font(tmp_path / "Mine.ttf", "画")
    text, families = Lettering([font]).for_plots("a画😺\udcff")
    assert text == "a画[U+1F63A]?" or "😺" in text  # DejaVu has a few emoji of its own
    assert families == ["DejaVu Sans", "Mine"]
