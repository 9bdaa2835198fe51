"""Roles with the least rights: a reader of one collection, a worker.

The owner of spocdb is the role that ran `spocdb db init`: it migrates, attaches, activates.
"""

from collections.abc import Sequence
from contextlib import suppress

import psycopg
from psycopg.sql import SQL, Identifier

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection, one_row
from spocdb.errors import ConfigError, RightMissing

IS_OWNER = "SELECT pg_has_role(current_user, spocdb.owner(), 'MEMBER')"

MAY_READ_ROWS = "SELECT has_function_privilege('spocdb.source_rows(bigint, text[])', 'EXECUTE')"

# Policies let a role that may read a collection's view read the collection's rows of other tables.
READER = (
    "GRANT USAGE ON SCHEMA spocdb TO {role}",
    "GRANT SELECT ON spocdb.{view} TO {role}",
)

# A worker writes descriptors, thumbnails, images, embeddings, failures, archives and the queue,
# answers queries, and groups duplicates.
WORKER = (
    "GRANT USAGE ON SCHEMA spocdb TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA spocdb TO {role}",
    "GRANT EXECUTE ON FUNCTION spocdb.count_coverage(), spocdb.take_in(bigint), "
    "spocdb.source_rows(bigint, text[]), spocdb.source_keys(bigint), "
    "spocdb.lock_rows(bigint, text[]), spocdb.lock_collection(bigint) TO {role}",
    "GRANT INSERT ON spocdb.descriptors TO {role}",
    "GRANT INSERT, DELETE ON spocdb.thumbnails TO {role}",
    "GRANT INSERT, UPDATE, DELETE ON spocdb.images, spocdb.failures, spocdb.queue TO {role}",
    "GRANT INSERT, UPDATE ON spocdb.listed_archives TO {role}",
    "GRANT UPDATE, DELETE ON spocdb.queries TO {role}",
    "GRANT UPDATE ON spocdb.duplicate_searches, spocdb.duplicate_members, "
    "spocdb.duplicate_ungrouped TO {role}",
    "GRANT INSERT, DELETE ON spocdb.duplicate_changes, spocdb.duplicate_pairs, "
    "spocdb.duplicate_members, spocdb.duplicate_ungrouped TO {role}",
)
# PUBLIC has these rights unless they were revoked.
CONNECT = "GRANT CONNECT ON DATABASE {name} TO {role}"
LACKS_CONNECT = """
SELECT current_database()
WHERE NOT has_database_privilege(%(role)s, current_database(), 'CONNECT')
"""
DATABASE = "GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {role}"
LACKS_DATABASE = """
SELECT current_database()
WHERE NOT has_database_privilege(%(role)s, current_database(), 'CONNECT')
   OR NOT has_database_privilege(%(role)s, current_database(), 'TEMPORARY')
"""
# The schema of the extension's types and operators; a new schema grants USAGE to no other role.
EXTENSION = "GRANT USAGE ON SCHEMA {name} TO {role}"
LACKS_EXTENSION = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector' AND NOT has_schema_privilege(%(role)s, n.oid, 'USAGE')
"""
EMBEDDINGS = "GRANT SELECT, INSERT, DELETE ON spocdb.{table} TO {role}"
TABLES = """
SELECT spocdb.embedding_table(collection_id, projection_id) FROM spocdb.embedding_tables
"""


def is_owner(connection: Connection) -> bool:
    """Tell whether the connection's role may do what the owner of spocdb may."""
    return bool(one_row(connection, IS_OWNER)[0])


def check_worker(connection: Connection) -> None:
    """Refuse a role that may not read the rows of attached tables, such as a reader.

    Raises:
        RightMissing: the role has no right to spocdb.source_rows.
    """
    if not one_row(connection, MAY_READ_ROWS)[0]:
        role = connection.info.user
        raise RightMissing(
            f"the role {role} may not read the rows of attached tables (spocdb.source_rows): "
            f"the owner of spocdb runs `db.grant_worker({role!r})`"
        )


def _check_owner(connection: Connection) -> None:
    """Refuse any other role: PostgreSQL only warns that it granted nothing."""
    if not is_owner(connection):
        (owner,) = one_row(connection, "SELECT spocdb.owner()::text")
        raise RightMissing(
            f"the role {connection.info.user} may not grant rights to spocdb: its owner does, "
            f"the role {owner}"
        )


def grant_reader(connection: Connection, role: str, collection: Collection) -> None:
    """Let a role read and search one collection.

    Raises:
        ConfigError: there is no such role, or another role has to grant a right.
        RightMissing: the connection's role is not the owner of spocdb.
    """
    _check_owner(connection)
    with connection.transaction():
        _run(connection, READER, role=role, view=collection.name)
        _let_in(connection, role, LACKS_EXTENSION, EXTENSION)
        _let_in(connection, role, LACKS_CONNECT, CONNECT)


def grant_worker(connection: Connection, role: str) -> None:
    """Let a role work on the queue and write what workers write, but no table of the application.

    Embedding tables that are added later grant it the same rights.

    Raises:
        ConfigError: there is no such role, or another role has to grant a right.
        RightMissing: the connection's role is not the owner of spocdb.
    """
    _check_owner(connection)
    with connection.transaction():
        _run(connection, WORKER, role=role)
        _let_in(connection, role, LACKS_EXTENSION, EXTENSION)
        _let_in(connection, role, LACKS_DATABASE, DATABASE)
        for (table,) in connection.execute(TABLES).fetchall():
            _run(connection, [EMBEDDINGS], role=role, table=table)


def _let_in(connection: Connection, role: str, lacks: str, grant: str) -> None:
    """Grant a right that spocdb's owner may be unable to grant, unless the role has it."""
    for (name,) in connection.execute(lacks, {"role": role}).fetchall():
        with suppress(psycopg.errors.InsufficientPrivilege):
            _run(connection, [grant], role=role, name=name)
        # Without the right to grant, PostgreSQL only warns that it granted nothing.
        if connection.execute(lacks, {"role": role}).fetchone():
            quoted = SQL(grant).format(role=Identifier(role), name=Identifier(name))
            raise ConfigError(f"ask the owner of {name} to run {quoted.as_string(connection)}")


def _run(connection: Connection, statements: Sequence[str], **names: str) -> None:
    quoted = {name: Identifier(value) for name, value in names.items()}
    try:
        with connection.transaction():
            for statement in statements:
                connection.execute(SQL(statement).format(**quoted))
    except psycopg.errors.UndefinedObject as exc:
        raise ConfigError(
            f"there is no role {names['role']}: make it with CREATE ROLE first"
        ) from exc
