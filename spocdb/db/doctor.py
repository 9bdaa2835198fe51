"""Find problems of a server and its settings; each finding has advice."""

from collections import Counter

from spocdb.db import collections, embeddings, ownership, projections, scratch
from spocdb.db.connections import Connection, one_row
from spocdb.db.leftovers import drop_left_copies, drop_left_indexes, left_copies, left_indexes
from spocdb.db.schema import HEAD, check, current, is_current
from spocdb.db.server import Finding, memory, versions
from spocdb.errors import DatabaseError, SchemaOutOfDate
from spocdb.wording import counted

# Roles that own the schema of an attached table and may create schemas, except spocdb's owner.
RENAMERS = """
SELECT DISTINCT quote_ident(r.rolname), quote_ident(n.nspname)
FROM spocdb.sources s
JOIN pg_class c ON c.oid = s.relation JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class o ON o.oid = 'spocdb.collections'::regclass
JOIN pg_database d ON d.datname = current_database()
JOIN pg_roles r ON r.oid = CASE n.nspowner::regrole::text WHEN 'pg_database_owner' THEN d.datdba
                           ELSE n.nspowner END
WHERE NOT pg_has_role(r.oid, o.relowner, 'MEMBER')
  AND has_database_privilege(r.oid, d.oid, 'CREATE')
ORDER BY 1, 2
"""

KEPT = """
SELECT c.name, t.projection_id
FROM spocdb.embedding_tables t
JOIN spocdb.collections c ON c.id = t.collection_id
JOIN spocdb.projections p ON p.id = t.projection_id AND p.extractor_id = c.extractor_id
WHERE t.projection_id <> c.active_projection_id ORDER BY 1, 2
"""

USED = "SELECT DISTINCT projection_id FROM spocdb.embedding_tables ORDER BY 1"


def examine(connection: Connection) -> list[Finding]:
    """Look at server version, extension, schema, rights and memory."""
    return [
        *versions(connection),
        _schema(connection),
        _rights(connection),
        _owner(connection),
        _creators(connection),
        *memory(connection),
        *_renamers(connection),
        *_leftovers(connection),
        *_projections(connection),
    ]


def fix(connection: Connection) -> list[str]:
    """Drop indexes and collections that killed programs left; return a line for each."""
    if not _is_ours(connection):
        return []
    return [
        *(f"dropped the index {name}" for name in drop_left_indexes(connection, whole=True)),
        *(f"dropped the table {name}" for name in drop_left_copies(connection)),
        *(f"dropped the collection {name}" for name in scratch.drop_left(connection)),
    ]


def _leftovers(connection: Connection) -> list[Finding]:
    if not _is_ours(connection):
        return []
    advice = "run `spocdb.db.doctor.fix(...)`, which drops it"
    builds = left_indexes(connection)
    begun = Counter(one.table for one in builds if one.is_whole)
    lines = [
        *(f"an interrupted build left the index {one.index}" for one in builds if not one.is_whole),
        *(f"a killed command left the table {name}" for name in left_copies(connection)),
        *(f"a killed command left the collection {name}" for name in scratch.left(connection)),
    ]
    return [
        *(Finding("warning", line, advice) for line in lines),
        *(
            Finding(
                "warning",
                f"an interrupted build finished {counted(n, 'index', 'indexes')} of {table}",
                "run the same command again, which builds the others, "
                "or `spocdb.db.doctor.fix(...)`, which drops them",
            )
            for table, n in begun.items()
        ),
        *(
            Finding(
                "warning",
                f"{collection} has embeddings of only some images by projection {projection}",
                f"run `db.pca.activate({projection}, collection={collection!r})`, "
                f"or `db.pca.drop({projection}, collection={collection!r})`",
            )
            for collection, projection in _unfinished(connection)
        ),
    ]


def _is_ours(connection: Connection) -> bool:
    """Tell whether the schema has this program's version and the role has its owner's rights."""
    return is_current(connection) and bool(
        one_row(
            connection,
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class "
            "WHERE oid = 'spocdb.collections'::regclass",
        )[0]
    )


def _projections(connection: Connection) -> list[Finding]:
    """Check the numbers of the projections in use, which a search in SQL does not check."""
    if not _is_ours(connection):
        return []
    found = []
    for (number,) in connection.execute(USED).fetchall():
        try:
            projections.load(connection, number)
        except DatabaseError as error:
            what, _, advice = str(error).rpartition(": ")
            found.append(Finding("error", what, advice))
    return found


def _unfinished(connection: Connection) -> list[tuple[str, int]]:
    """Return the collection and projection of each activation that did not finish.

    Only projections of the collection's own extractor: embedding tables of other extractors are
    completed when their projection is activated.
    """
    found = []
    for name, projection in connection.execute(KEPT).fetchall():
        collection = collections.get(connection, name)
        if not embeddings.is_complete(connection, collection, projection):
            found.append((name, projection))
    return found


def _schema(connection: Connection) -> Finding:
    if current(connection) is None:
        return Finding("warning", "no schema spocdb yet", "run `spocdb.db.schema.init(...)`")
    try:
        check(connection)
    except SchemaOutOfDate as error:
        what, _, advice = str(error).partition(": ")
        return Finding("error", what, advice)
    return Finding("ok", f"schema spocdb at {HEAD}")


def _rights(connection: Connection) -> Finding:
    role, database, may_create, may_extend = one_row(
        connection,
        "SELECT quote_ident(current_user), quote_ident(current_database()), "
        "CASE WHEN to_regnamespace('spocdb') IS NULL "
        "     THEN has_database_privilege(current_database(), 'CREATE') "
        "     ELSE has_schema_privilege('spocdb', 'CREATE') END, "
        "EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') "
        "OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)",
    )
    if not may_create:
        return Finding(
            "error",
            f"role {role} may not create what spocdb needs in {database}",
            f"as its owner run `GRANT CREATE ON DATABASE {database} TO {role}`, "
            "or use the role that owns spocdb",
        )
    if not may_extend:
        return Finding(
            "warning",
            f"role {role} may not create the extension vector",
            "ask a superuser to run `CREATE EXTENSION vector` in this database",
        )
    return Finding("ok", f"role {role} may do what spocdb needs")


def _owner(connection: Connection) -> Finding:
    """Check whether SECURITY DEFINER functions run with a superuser's rights."""
    found = ownership.owner(connection)
    (role, is_superuser) = found or one_row(
        connection, "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    if not is_superuser:
        verb = "owns" if found else "would own"
        return Finding("ok", f"the role that {verb} spocdb, {role}, is no superuser")
    if found is None:
        return Finding(
            "warning",
            f"the role that would own spocdb, {role}, is a superuser",
            "run `CREATE EXTENSION vector` as that role, then `spocdb.db.schema.init(...)` as "
            "a role that is no superuser",
        )
    return Finding(
        "warning",
        f"the role that owns spocdb, {role}, is a superuser: its functions have all rights",
        "run `CREATE ROLE spocdb_owner LOGIN`, then `db.grant_owner('spocdb_owner')`, "
        "and use spocdb as that role",
    )


def _creators(connection: Connection) -> Finding:
    """Look for schemas of the search_path in which every role may create objects."""
    (open_schemas,) = one_row(
        connection,
        "SELECT string_agg(quote_ident(n.nspname), ', ') FROM pg_namespace n "
        "CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a "
        "WHERE n.nspname = ANY (current_schemas(false)) "
        "AND a.grantee = 0 AND a.privilege_type = 'CREATE'",
    )
    if open_schemas:
        return Finding(
            "warning",
            f"everybody may create functions in schema {open_schemas}, which spocdb uses",
            f"run `REVOKE CREATE ON SCHEMA {open_schemas} FROM PUBLIC`",
        )
    return Finding("ok", "no schema that spocdb uses lets everybody create functions")


def _renamers(connection: Connection) -> list[Finding]:
    """Look for roles that could replace an attached table while it is read."""
    may_read = "SELECT has_table_privilege(to_regclass('spocdb.sources'), 'SELECT')"
    if not one_row(connection, may_read)[0]:
        return []
    return [
        Finding(
            "warning",
            f"role {role} may rename schema {schema}, which has an attached table, at any moment",
            "attach tables of roles that you trust; the owner of such a schema should not have "
            "the right CREATE on the database",
        )
        for role, schema in connection.execute(RENAMERS).fetchall()
    ]
