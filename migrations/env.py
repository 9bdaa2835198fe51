"""Run spocdb's migrations: on a connection that `spocdb.db.schema` hands over, or as SQL text."""

from typing import Any

from alembic import context
from alembic.operations import Operations
from sqlalchemy import text

from spocdb.db.migration import first_statements, run_functions, run_sql
from spocdb.db.tables import metadata

OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "version_table_schema": "spocdb",
    # Compare only spocdb's own tables, not those of an application.
    "include_name": lambda name, kind, _parents: kind != "schema" or name == "spocdb",
    "include_schemas": True,
}


def migrate() -> None:
    """Run the revisions, then the SQL functions of the target state, then the files for afterwards.

    The attribute `functions` is None for the empty schema, which has none.
    """
    context.run_migrations()
    attributes = context.config.attributes
    if attributes["functions"] is not None:
        with Operations.context(context.get_context()):
            run_functions(attributes["functions"])
            for name in attributes.get("afterwards", ()):
                run_sql(name)


if context.is_offline_mode():
    # The default parameter style would double every %.
    style = {"paramstyle": "named"}
    context.configure(dialect_name="postgresql", dialect_opts=style, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        since = context.get_starting_revision_argument()
        for statement in first_statements(None, is_begun=since not in (None, "base")):
            context.execute(statement)
        migrate()
else:
    connection = context.config.attributes["connection"]
    with connection.begin():
        for statement in first_statements(connection):
            connection.execute(text(statement))
        context.configure(connection=connection, **OPTIONS)
        migrate()
