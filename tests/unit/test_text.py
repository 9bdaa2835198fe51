"""Text from outside is cleaned."""

import hashlib

import pytest

from spocdb.errors import ImageVanished
from spocdb.text import cleaned, one_line, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no image", "no image"),
        ("Not\0Found", r"Not\x00Found"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("caf\udce9", r"caf\udce9"),
        ("Zoë, 山", "Zoë, 山"),
        ("x" * 3000, "x" * 997 + "..."),
    ],
)
def test_a_message_is_one_printable_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert str(ImageVanished(text)) == shown


def test_a_value_keeps_all_that_the_database_can_store() -> None:
    assert cleaned("tab\tand\nline, Zoë") == "tab\tand\nline, Zoë"
    assert cleaned("a\0b\udce9") == "a\ufffdb\ufffd"


def test_a_long_key_is_named_by_its_beginning_and_its_hash() -> None:
    assert shortened("/photos/a.jpg") == "/photos/a.jpg"
    key = "ö" * 1001
    assert shortened(key) == "ö" * 200 + "... " + hashlib.md5(key.encode()).hexdigest()
