"""Labels from a statement of the user's: a SELECT on tables that spocdb knows nothing of."""

from spocdb.db.connections import Connection
from spocdb.errors import ConfigError

# Values as text, None for NULL.
Row = tuple[str | None, ...]


def rows(connection: Connection, statement: str) -> tuple[list[str], list[Row]]:
    """Return the names of a statement's columns, and its rows; it can change nothing.

    Raises:
        ConfigError: it gives no rows, as a SELECT does.
        DatabaseError: the server refuses it.
    """
    with connection.transaction(), connection.cursor() as cursor:
        connection.execute("SET TRANSACTION READ ONLY")
        # A prepared statement is one alone: a second one could end the transaction.
        cursor.execute(statement, prepare=True)
        if cursor.description is None:
            raise ConfigError("the statement gives no rows: give a SELECT", field="labels_from")
        columns = [column.name for column in cursor.description]
        return columns, [tuple(None if v is None else str(v) for v in row) for row in cursor]
