"""No command prints a database URL's password; none accepts a URL as a file but as an image."""

from itertools import product
from pathlib import Path

from tests.fixtures.program import Run
from tests.integration.commands.lines import COMMANDS, WITH_DATABASE, assert_clean, words_for

MISTYPED = [
    "postgres:/me:secret@host/db",
    "postgresql://me:sec/secret@host/db",
    "postgresql://me:se@secret@host/db",
    "postgresql://me:100%secret@host/db",
    "postgresql://me:[secret@host/db",
    "postgresql://me:what?secret@host/db",
    "postgresql://me:a secret@host/db",
    "postgresql://me:secret@[::1/db",
    "postgresql://me:secret@host:port/db",
    "postgresql://me:secret@nowhere.invalid/db",
    "postgresql://nowhere.invalid/db?user=me&password=secret",
    "mysql://me:secret@host/db",
    "me:secret@host/db",
    "password=se secret host=h",
    "host=nowhere.invalid password=secret",
    "postgresql://me:secret\n@host/db",
    "postgresql://me:secret\udce9@host/db",
    "secret",
]


def test_no_address_is_printed(call: Run) -> None:
    for address in MISTYPED:
        result = call("status", "-vv", "--db", address)
        assert_clean(result, "status")
        assert (result.returncode, result.stdout) == (1, "")
        assert "secret" not in result.stderr
        # Given in the wrong place, it is not printed either.
        for words in (["status", address], [address], ["search", "a.jpg", address]):
            result = call(*words)
            assert address == "secret" or "secret" not in result.stdout + result.stderr, words


def test_no_address_is_printed_by_any_command(call: Run, workplace: Path) -> None:
    for name in WITH_DATABASE:
        result = call(*words_for(name, workplace), db=MISTYPED[0])
        assert_clean(result, name)
        assert "secret" not in (
            result.stderr if name == "db url" else result.stdout + result.stderr
        )


URLS = ["https://host/a.jpg?token=secret", "s3://bucket/photos", "gs://bucket/a", "file:///a.jpg"]


def test_a_url_in_place_of_a_file_is_said_to_be_one(call: Run, workplace: Path) -> None:
    for address, name in product(URLS, COMMANDS):
        words = words_for(name, workplace)
        files = [i for i, word in enumerate(words) if word.startswith(str(workplace))]
        for i in files:
            is_file, is_image = address.startswith("file:"), words[i - 1] == "ingest"
            if is_image and not is_file:
                continue
            result = call(*words[:i], address, *words[i + 1 :])
            assert result.returncode == (1 if is_image else 2), (name, result)
            assert f"{address.partition('?')[0]}" in result.stderr
            advice = ": give the path without" if is_file else ", and spocdb reads files: download"
            assert f"is a URL{advice}" in result.stderr
            assert "secret" not in result.stderr
