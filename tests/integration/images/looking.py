"""The images of a collection, and the fields that a command shows."""

from typing import Any

from tests.fixtures.opened import Database


def paths(db: Database, collection: str = "photos") -> list[str]:
    rows = db.connection.execute(
        "SELECT i.path FROM spocdb.images i JOIN spocdb.collections c ON c.id = i.collection_id "
        "WHERE c.name = %s ORDER BY 1",
        [collection],
    )
    return [row[0] for row in rows]


def fields(result: Any) -> list[tuple[str, str]]:
    """Return the names and values that a command shows."""
    assert result.exit_code == 0, result.output
    found = [line.partition("  ") for line in result.stdout.splitlines()]
    return [(name, value.strip()) for name, _, value in found]


def embedded(db: Database) -> int:
    db.connection.execute("ANALYZE")
    return sum(table.n_rows for table in db.index.status())
