"""A database's address as users give it: checked before libpq sees it, which echoes what it reads.

A mistyped address is never shown: what looks like a host, a port or an option in it may be a part
of the password.
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
    """Return an address as libpq takes it; SQLAlchemy's spelling of a driver is accepted too.

    Raises ConfigError, without a word of the address, for one that libpq could only misread.
    """
    scheme, separator, rest = address.partition("://")
    if separator:
        address = f"{_postgresql(scheme)}://{rest}"
        _refuse_stray_at(rest)
    try:
        parts = conninfo_to_dict(address)
    except (psycopg.ProgrammingError, ValueError):
        # Without the cause: its message quotes the address.
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
    """Raise ConfigError unless the only @ of a URL ends its user and password.

    libpq would take the rest of a password with an @ or a / in it for a host or a database.
    """
    authority, _, path = re.split(r"\?", rest, maxsplit=1)[0].partition("/")
    if authority.count("@") > 1 or "@" in path:
        raise _malformed()


def _malformed() -> ConfigError:
    return ConfigError(
        "the database's address (`url=...` or SPOCDB_DATABASE_URL) is malformed: "
        f"write {FORM}, {ENCODING}"
    )
