"""What the Alembic migrations are made of: SQL files, run in the right search_path."""

from importlib.resources import files

from alembic import op
from sqlalchemy import Connection, text

# Where an offline script, which cannot ask, expects the extension.
DEFAULT_VECTOR_SCHEMA = "public"


def sql_text(name: str) -> str:
    """Return the text of migrations/sql/`name`.sql."""
    return (files("spocdb.migrations") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def run_sql(name: str) -> None:
    """Run migrations/sql/`name`.sql; `@extschema:vector@` in it is the extension's schema."""
    schema = DEFAULT_VECTOR_SCHEMA if op.get_context().as_sql else _vector_schema(op.get_bind())
    body = sql_text(name).replace("@extschema:vector@", schema)
    # text() takes `:name` for a parameter; a plain string would stumble over `%`.
    op.execute(text(body.replace(":", r"\:")))


def prepare(connection: Connection | None, *, is_begun: bool = False) -> list[str]:
    """Return what must run before the first migration; None for an offline script.

    The extension is created only where it is missing: doing so may need a superuser. An offline
    script that goes on from a revision (`is_begun`) finds it and the schema.
    """
    schema = DEFAULT_VECTOR_SCHEMA
    if is_begun:
        return [f"SET LOCAL search_path = spocdb, {schema}"]
    statements = ["CREATE SCHEMA IF NOT EXISTS spocdb"]
    # Even IF NOT EXISTS asks for the right to create; a role may have been given just the schema.
    if connection is not None and connection.dialect.has_schema(connection, "spocdb"):
        statements = []
    if connection is not None:
        # Two programs that start on an empty database at once migrate it one after the other.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('spocdb.migrations'))"))
    if connection is None or not _has_vector(connection):
        statements.insert(0, f"CREATE EXTENSION IF NOT EXISTS vector SCHEMA {schema}")
    else:
        schema = _vector_schema(connection)
    return [*statements, f"SET LOCAL search_path = spocdb, {schema}"]


def _has_vector(connection: Connection) -> bool:
    found = connection.execute(text("SELECT FROM pg_extension WHERE extname = 'vector'"))
    return found.first() is not None


def _vector_schema(connection: Connection) -> str:
    return str(
        connection.execute(
            text(
                "SELECT quote_ident(n.nspname) FROM pg_extension e "
                "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
            )
        ).scalar_one()
    )
