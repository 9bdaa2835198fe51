"""The owner of spocdb's objects: one role, preferably no superuser.

SECURITY DEFINER functions run with the rights of the role that owns them.
"""

from psycopg.sql import SQL, Identifier

from spocdb.db.connections import Connection
from spocdb.errors import ConfigError

# The tables' owner; null before the first migration.
OWNER = """
SELECT r.rolname, r.rolsuper FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.oid = to_regclass('spocdb.collections')
"""

# Objects that `role` does not own, in the schema spocdb or (`everywhere`) in all schemas of users;
# with `own` only those of the current role. Identity sequences and indexes change owner with their
# table; extensions and their members keep theirs.
OTHERS = """
WITH owned (class, oid, kind, name, owner, namespace) AS (
    SELECT 'pg_class'::regclass, c.oid,
           CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                          WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
           c.oid::regclass::text, c.relowner, c.relnamespace
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, 'ROUTINE', p.oid::regprocedure::text, p.proowner,
           p.pronamespace
    FROM pg_proc p
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, 'TYPE', format_type(t.oid, NULL), t.typowner, t.typnamespace
    FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c'
    UNION ALL
    SELECT 'pg_namespace'::regclass, n.oid, 'SCHEMA', quote_ident(n.nspname), n.nspowner, n.oid
    FROM pg_namespace n
)
SELECT o.kind, o.name
FROM owned o JOIN pg_namespace n ON n.oid = o.namespace JOIN pg_roles r ON r.oid = o.owner
WHERE (%(everywhere)s OR n.nspname = 'spocdb')
  AND r.rolname <> %(role)s AND (NOT %(own)s OR r.rolname = current_user)
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
"""

ATTACHED = """
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', n.nspname, %(role)s::text),
       format('GRANT SELECT, UPDATE (%%I), TRIGGER ON %%s TO %%I',
              s.key_column, s.relation, %(role)s::text)
FROM spocdb.sources s
JOIN pg_class c ON c.oid = s.relation JOIN pg_namespace n ON n.oid = c.relnamespace
"""


def owner(connection: Connection) -> tuple[str, bool] | None:
    """Return spocdb's owner and whether it is a superuser; None if there is no schema spocdb."""
    row = connection.execute(OWNER).fetchone()
    return None if row is None else (str(row[0]), bool(row[1]))


def hand_over(connection: Connection, role: str) -> None:
    """Make a role that is no superuser the owner of spocdb, and let it read attached tables.

    Must be run by a superuser.

    Raises:
        ConfigError: the role is missing or a superuser, or there is no schema spocdb.
    """
    found = connection.execute(
        "SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role]
    ).fetchone()
    if found is None:
        raise ConfigError(f"there is no role {role}: make it with CREATE ROLE first")
    if found[0]:
        raise ConfigError(f"the role {role} is a superuser: name a role that is no superuser")
    if owner(connection) is None:
        raise ConfigError(
            "this database has no schema spocdb yet: run `spocdb.db.schema.init(...)` as that role"
        )
    with connection.transaction():
        _alter_owner(connection, role)
        for statements in connection.execute(ATTACHED, {"role": role}).fetchall():
            for statement in statements:
                connection.execute(statement)


def keep_owner(connection: Connection) -> None:
    """Make the tables' owner the owner of what the current role made in the schema spocdb."""
    found = owner(connection)
    if found is not None:
        with connection.transaction():
            _alter_owner(connection, found[0], own=True)


def give_away(connection: Connection, role: str) -> None:
    """Make a role the owner of all that the current role owns in the schemas of users."""
    _alter_owner(connection, role, everywhere=True, own=True)


def _alter_owner(
    connection: Connection, role: str, *, everywhere: bool = False, own: bool = False
) -> None:
    values = {"role": role, "everywhere": everywhere, "own": own}
    for kind, name in connection.execute(OTHERS, values).fetchall():
        statement = SQL("ALTER {kind} {name} OWNER TO {role}")
        # `kind` and `name` come quoted from the catalog.
        parts = {"kind": SQL(kind), "name": SQL(name), "role": Identifier(role)}
        connection.execute(statement.format(**parts))
