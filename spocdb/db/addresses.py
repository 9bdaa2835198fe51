"""Check the database address that a user gives, before libpq reads it.

libpq quotes the address in its error messages. In a mistyped address, what looks like a host, a
port or an option may be a part of the password, so the errors raised here never quote it.
"""

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from spocdb.errors import ConfigError

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
