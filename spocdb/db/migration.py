"""Run SQL files in Alembic migrations, with the search_path that they need."""

from alembic import context, op
from sqlalchemy import Connection, text

from spocdb.db import sql_files

# The extension's schema in an offline script, which cannot query the database.
DEFAULT_VECTOR_SCHEMA = "public"


def run_sql(name: str) -> None:
    """Run migrations/sql/`name`.sql; `@extschema:vector@` in it is the extension's schema."""
    schema = DEFAULT_VECTOR_SCHEMA if op.get_context().as_sql else _vector_schema(op.get_bind())
    body = sql_files.sql_text(name).replace("@extschema:vector@", schema)
    # text() reads `:name` as a parameter; a plain string would fail on `%`.
    op.execute(text(body.replace(":", r"\:")))


def need_name(name: str) -> None:
    """Refuse to go on if a collection has the name of a table that a revision creates.

    The view of the collection already has this name. The message gives the statements that rename
    both.
    """
    op.execute(
        f"""
        DO $$ BEGIN
            IF EXISTS (SELECT FROM spocdb.collections WHERE name = '{name}') THEN
                RAISE EXCEPTION 'the collection {name} has the name of a table of this version: '
                    'rename it, ALTER VIEW spocdb.{name} RENAME TO my_{name}; '
                    'UPDATE spocdb.collections SET name = ''my_{name}'' WHERE name = ''{name}'', '
                    'then upgrade again' USING ERRCODE = 'reserved_name';
            END IF;
        END $$
        """
    )


def grant_to_workers(rights: str, table: str) -> None:
    """Grant rights on a table of spocdb to the roles that may insert images, such as workers."""
    body = f"""
        DO $$
        DECLARE
            granted record;
        BEGIN
            FOR granted IN
                SELECT DISTINCT a.grantee::regrole::text AS role
                FROM pg_class c, aclexplode(c.relacl) a
                WHERE c.oid = 'spocdb.images'::regclass AND a.privilege_type = 'INSERT'
                  AND a.grantee NOT IN (0, c.relowner)
            LOOP
                EXECUTE format('GRANT {rights} ON spocdb.{table} TO %s', granted.role);
            END LOOP;
        END $$
    """
    op.execute(text(body.replace(":", r"\:")))


def show_to_readers(
    table: str, rows: str = "collection_id IN (SELECT c.id FROM spocdb.collections c)"
) -> None:
    """Let a role select those rows of a table that are of collections which it may read.

    `rows` is the condition, by tables that show a role its own rows (revision 0005). A role that
    may read the queue, as a worker may, selects all of them.
    """
    body = f"""
        CREATE POLICY readable ON spocdb.{table} USING (
            (SELECT has_table_privilege('spocdb.queue'::regclass, 'SELECT')) OR {rows});
        ALTER TABLE spocdb.{table} ENABLE ROW LEVEL SECURITY;
        GRANT SELECT ON spocdb.{table} TO PUBLIC;
    """
    op.execute(text(body.replace(":", r"\:")))


def run_afterwards(name: str) -> None:
    """Run migrations/sql/`name`.sql when all revisions have run and the functions are replaced.

    For statements that call functions, which must fit the new tables.
    """
    context.config.attributes.setdefault("afterwards", []).append(name)


def run_functions(folder: str) -> None:
    """Replace the database's functions with those of migrations/sql/`folder`, with its fingerprint.

    The files run in any order: `first_statements` turn off the check of function bodies, so that a
    function can be created before one that it calls. Functions that only this program has are
    dropped.
    """
    for name in sql_files.function_files(folder):
        run_sql(name)
    kept = sql_files.signatures(folder)
    for signature in sql_files.signatures():
        if signature not in kept:
            op.execute(f"DROP FUNCTION IF EXISTS {signature}")
    mark = sql_files.fingerprint(folder)
    op.execute(text(f"COMMENT ON TABLE spocdb.alembic_version IS '{mark}'".replace(":", r"\:")))


def first_statements(connection: Connection | None, *, is_begun: bool = False) -> list[str]:
    """Return the statements that run before the first migration.

    `connection` is None for an offline script. The extension is created only where it is missing,
    because that may need a superuser. An offline script that starts from a revision (`is_begun`)
    creates neither extension nor schema.
    """
    schema = DEFAULT_VECTOR_SCHEMA
    if is_begun:
        return _settings(schema)
    statements = ["CREATE SCHEMA IF NOT EXISTS spocdb"]
    # Even IF NOT EXISTS needs the right CREATE on the database; a role may have only the schema.
    if connection is not None and connection.dialect.has_schema(connection, "spocdb"):
        statements = []
    if connection is not None:
        # Advisory lock until the commit: two programs at once migrate one after the other.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('spocdb.migrations'))"))
    if connection is None or not _has_vector(connection):
        statements.insert(0, f"CREATE EXTENSION IF NOT EXISTS vector SCHEMA {schema}")
    else:
        schema = _vector_schema(connection)
    return [*statements, *_settings(schema)]


def _settings(schema: str) -> list[str]:
    return [
        f"SET LOCAL search_path = spocdb, {schema}",
        # See `run_functions`.
        "SET LOCAL check_function_bodies = off",
        # DROP IF EXISTS reports each function that is not there.
        "SET LOCAL client_min_messages = warning",
    ]


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
