"""Check the database address that a user gives, before libpq reads it.

libpq quotes the address in its error messages. In a mistyped address, what looks like a host, a
port or an option may be a part of the password, so the errors raised here never quote it.
"""

import re
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from spocdb.errors import ConfigError

# A file that names several servers, which have a collection together.
SHARDS = "shards:"

FORM = "postgresql://USER@HOST:PORT/DATABASE"
ENCODING = (
    "with the reserved characters of a password percent-encoded (@ as %40, / as %2F, : as %3A, "
    "? as %3F, % as %25)"
)


def conninfo(address: str) -> str:
    """Return an address in libpq's form; SQLAlchemy's `postgresql+driver://` is accepted too.

    Raises:
        ConfigError: the address is malformed; the message does not quote it.
    """
    refuse_shards(address)
    scheme, separator, rest = address.partition("://")
    if separator:
        address = f"{_postgresql(scheme)}://{rest}"
        _refuse_stray_at(rest)
    try:
        parts = conninfo_to_dict(address)
    except (psycopg.ProgrammingError, ValueError):
        # `from None`, because the cause's message quotes the address.
        raise _malformed() from None
    if not re.fullmatch(r"[0-9,]*", str(parts.get("port", ""))):
        raise _malformed()
    return address


def refuse_shards(address: str) -> None:
    """Raise ConfigError if an address names several servers."""
    if address.startswith(SHARDS):
        raise ConfigError(
            "the address names several servers, and this works on one: give the address of one of "
            "them (`url=...`); docs/how-to/shards.md lists what works on all of them"
        )


def of_shards(address: str) -> list[str]:
    """Return the addresses in the file of `shards:FILE`, one in a line; # begins a comment.

    Raises:
        ConfigError: it is no such address, or the file cannot be read, or names no server.
    """
    file = Path(address.removeprefix(SHARDS)).expanduser()
    if not address.startswith(SHARDS) or not address.removeprefix(SHARDS):
        raise ConfigError("several servers are named by shards:FILE, with an address in each line")
    try:
        lines = map(str.strip, file.read_text().splitlines())
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is no text: write an address in each line") from None
    if not (found := [line for line in lines if line and not line.startswith("#")]):
        raise ConfigError(f"{file} names no server: write an address in each line")
    return found


def _postgresql(scheme: str) -> str:
    name = scheme.partition("+")[0].lower()
    if name in ("postgresql", "postgres"):
        return name
    if re.fullmatch(r"[a-z][a-z0-9]{1,15}", name):
        raise ConfigError(f"spocdb works with PostgreSQL, not with {name}: write {FORM}")
    raise _malformed()


def _refuse_stray_at(rest: str) -> None:
    """Raise ConfigError for an @ of a URL that does not end its user and password.

    libpq reads what follows an unescaped @ or / in a password as a host or a database.
    """
    authority, _, path = re.split(r"\?", rest, maxsplit=1)[0].partition("/")
    if authority.count("@") > 1 or "@" in path:
        raise _malformed()


def _malformed() -> ConfigError:
    return ConfigError(
        "the database's address (`url=...` or SPOCDB_DATABASE_URL) is malformed: "
        f"write {FORM}, {ENCODING}"
    )
