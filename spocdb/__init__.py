"""Visual similarity search inside your own PostgreSQL."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spocdb.api import Database

__version__ = "0.2.0.dev0"


def connect(url: str | None = None) -> "Database":
    """Open a database: `url`, or `SPOCDB_DATABASE_URL`, or the embedded server.

    Raises DatabaseError if it cannot be reached and SchemaOutOfDate if it needs a migration; the
    embedded database is migrated by itself.
    """
    # Imported here so that `import spocdb` costs nothing.
    from spocdb.api import Database
    from spocdb.settings import from_environment

    return Database(from_environment(url))
