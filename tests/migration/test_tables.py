"""db/tables.py describes the tables that the migrations create."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, text

from spocdb.db import connections
from spocdb.db.tables import metadata


def test_tables_py_equals_the_migrated_schema(url: str) -> None:
    alchemy = create_engine(
        "postgresql+psycopg://", creator=lambda: connections.connect(url), poolclass=NullPool
    )
    with alchemy.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == "spocdb",
                "version_table_schema": "spocdb",
            },
        )
        found = compare_metadata(context, metadata)
        changes = [c for d in found for c in (d if isinstance(d, list) else [d])]
        # Comments are only in the SQL.
        assert [change for change in changes if not change[0].endswith("_comment")] == []
        # Alembic does not compare CHECK constraints, and would accept an empty schema.
        made = connection.execute(
            text("SELECT count(*) FROM pg_tables WHERE schemaname = 'spocdb'")
        ).scalar_one()
        assert made == len(metadata.tables) + 1
