"""Tables fit terminals of any width; piped tables are complete."""

import io
import sys
from importlib import import_module

import pytest

TABLES = import_module("spocdb.cli.tables")

HEADER = ["distance", "id", "path", "metadata"]
ROWS = [
    ["0.0000", 1, "/home/me/photographs/2024/summer/beach/IMG_0001.jpg", "kind=beach, year=2024"],
    ["0.1250", 22, "/home/me/photographs/2024/winter/snow/IMG_0002.jpg", ""],
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, columns: int, header: list[str] = HEADER
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        TABLES.print_table(header, ROWS)
    return stream.getvalue().splitlines()


def test_what_is_piped_is_never_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = printed(monkeypatch, io.StringIO(), 40)
    assert piped == printed(monkeypatch, Terminal(), 200)
    assert piped[1].split()[2] == ROWS[0][2]


def test_on_a_narrow_terminal_texts_are_shortened_and_paths_keep_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header, first, second = printed(monkeypatch, Terminal(), 60)
    assert header.split() == HEADER
    assert max(map(len, (header, first, second))) <= 60
    assert "…" in first and "/IMG_0001.jpg" in first and "kind=beach" in first
    assert second.startswith("  0.1250  22  …")


def test_on_a_very_narrow_terminal_each_row_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, Terminal(), 30)
    assert lines[:3] == ["distance  0.0000", "id        1", f"path      {ROWS[0][2]}"]
    assert lines[4] == ""
    assert len(lines) == 9


@pytest.mark.parametrize(
    ("text", "width", "shortened"),
    [
        ("/a/b/name.jpg", 9, "…name.jpg"),
        ("a long word", 7, "a long…"),
        ("short", 5, "short"),
        ("写真の名前", 7, "写真の…"),
    ],
)
def test_a_text_is_shortened_to_columns_of_a_terminal(
    text: str, width: int, shortened: str
) -> None:
    assert TABLES.shorten(text, width) == shortened


def test_wide_characters_take_two_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        TABLES.print_table(["name", "n"], [["日本語", 1], ["photos", 2]])
    assert stream.getvalue() == "name    n\n日本語  1\nphotos  2\n"
