"""Run the shop's migrations, which leave spocdb's schema alone."""

from typing import Any

from alembic import context
from shop import Base, engine

from spocdb.integrations.alembic import include_name, include_object

options: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "include_schemas": True,
    "include_name": include_name,
    "include_object": include_object,
}

if context.is_offline_mode():
    style = {"paramstyle": "named"}
    context.configure(dialect_name="postgresql", dialect_opts=style, literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
