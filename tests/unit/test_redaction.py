"""No password, token or signature appears in messages or logs."""

import pytest

from spocdb.errors import ConfigError, DatabaseError, UnreadableImage
from spocdb.redaction import LONGEST, redact
from spocdb.settings import from_environment

WITH_SECRETS = [
    "postgresql://me:secret@host/db",
    "cannot reach postgres://me:secret@host:5432/db?sslmode=require now",
    "postgres:/me:secret@host/db",
    "postgres:///me:secret@host/db",
    "postgresql+psycopg://me:secret@host/db",
    "mysql://me:secret@host",
    "postgresql://me:a/secret/b@host/db",
    "postgresql://me:a@secret@host/db",
    "postgresql://me:%secret[@host/db",
    "postgresql://host/db?user=me&password=secret",
    "postgresql://host/db?sslpassword=secret&user=me",
    "host=h password=secret dbname=d",
    "host=h password = 'a \\' secret' dbname=d",
    "PGPASSWORD=secret",
    "https://me:secret@host/a.jpg",
    "https://secret@host/a.jpg",
    "https://host/a.jpg?token=secret",
    "https://host/a.jpg?w=10&sig=secret&se=1",
    "https://host/a.jpg?X-Amz-Signature=secret",
    "https://host/a.jpg?X-Amz-Credential=secret&X-Amz-Security-Token=secret",
    "https://host/a.jpg?X-Goog-Signature=secret",
    "https://host/a.jpg?AWSAccessKeyId=secret&Signature=secret",
    "https://host/a.jpg?Policy=secret&Key-Pair-Id=secret",
    "https://host/a.jpg?api_key=secret",
    "https://host/a.jpg?access_token=secret#top",
    "Authorization: Bearer secret.of.some-length",
]


@pytest.mark.parametrize("text", WITH_SECRETS)
def test_a_secret_is_hidden(text: str) -> None:
    hidden = redact(text)
    assert "secret" not in hidden
    assert "***" in hidden
    assert redact(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@host:5432/db",
        "https://host:8080/a@2x.png",
        "https://host/a@2x.png?width=100&page=2",
        "/photos/a:b@c.jpg is no JPEG",
        "cannot read /a/basic.jpg: No such file or directory",
        "give 'password' in ~/.pgpass",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("error", [ConfigError, DatabaseError, UnreadableImage])
def test_every_message_of_an_error_is_redacted(error: type[Exception]) -> None:
    assert str(error("no image at https://host/a?token=secret")) == (
        "no image at https://host/a?token=***"
    )


def test_settings_that_are_printed_show_no_url() -> None:
    assert "secret" not in repr(from_environment("postgresql://me:secret@host/db", {}))


@pytest.mark.parametrize(
    "piece", ["a.", "http://a:", "?token", "?a&token=", "password", "password='", "bearer a", "@:/"]
)
def test_no_message_is_slow_to_redact(piece: str) -> None:
    # Patterns without bounds would take hours for some of these.
    text = redact(f"@ = {piece * 1_000_000}")
    assert len(text) <= 2 * LONGEST
