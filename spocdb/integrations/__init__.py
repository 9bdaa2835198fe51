"""What applications use in their own migrations and models: SQL text, Alembic, SQLAlchemy."""
