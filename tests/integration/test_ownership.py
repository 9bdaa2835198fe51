"""spocdb's owner is no superuser on the servers that spocdb sets up."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb.db import connections, doctor, embedded, schema
from spocdb.errors import ConfigError
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Psql = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
OWNERS = """
SELECT DISTINCT r.rolname FROM (
    SELECT relowner, relnamespace FROM pg_class UNION ALL
    SELECT proowner, pronamespace FROM pg_proc UNION ALL
    SELECT typowner, typnamespace FROM pg_type UNION ALL
    SELECT nspowner, oid FROM pg_namespace
) x (owner, namespace) JOIN pg_roles r ON r.oid = owner WHERE namespace = 'spocdb'::regnamespace
"""


def warnings_of(connection: connections.Connection) -> list[str]:
    """Return doctor's findings about superusers."""
    found = doctor.examine(connection)
    return [f.advice for f in found if f.verdict == "warning" and "superuser" in f.what]


@pytest.fixture
def own_server() -> Iterator[Path]:
    """Return the data folder of an embedded server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="spocdb-own-") as folder:
        try:
            yield Path(folder)
        finally:
            embedded.stop(Path(folder))


# Objects that an older spocdb and its user made as the embedded server's superuser.
OLD = """
CREATE TYPE mood AS ENUM ('happy'); CREATE DOMAIN short AS text; CREATE TYPE pair AS (a int, b int);
CREATE TYPE span AS RANGE (subtype = integer);
CREATE TABLE goods (id serial PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY, mood mood);
INSERT INTO goods DEFAULT VALUES;
CREATE SCHEMA own; CREATE VIEW own.seen AS SELECT * FROM goods; CREATE SEQUENCE own.free;
CREATE MATERIALIZED VIEW own.kept AS SELECT 1 AS one;
CREATE FUNCTION own.one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE own.total(integer) (SFUNC = int4pl, STYPE = integer);
CREATE PROCEDURE own.nothing() LANGUAGE sql AS '';
CREATE ROLE reader LOGIN; GRANT SELECT ON goods TO reader;
"""
LEFT = """
SELECT oid::regclass::text FROM pg_class WHERE relowner = 'postgres'::regrole
    AND relnamespace IN ('public'::regnamespace, 'own'::regnamespace, 'spocdb'::regnamespace)
UNION ALL
SELECT p.oid::regprocedure::text FROM pg_proc p WHERE proowner = 'postgres'::regrole
    AND pronamespace IN ('public'::regnamespace, 'own'::regnamespace, 'spocdb'::regnamespace)
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def test_the_embedded_server_belongs_to_a_role_that_is_no_superuser(
    own_server: Path, environment: dict[str, str]
) -> None:
    """Also a server that an older spocdb set up, with all objects in it."""
    admin_url = embedded.admin_url(own_server)
    with connections.connect(admin_url) as admin:
        admin.execute("ALTER DATABASE spocdb OWNER TO postgres")
        schema.upgrade(admin_url)
        admin.execute(OLD)
        assert warnings_of(admin)

        url = embedded.start(own_server)
        assert admin.execute(LEFT).fetchall() == []
        extension = "SELECT proowner = 10 FROM pg_proc WHERE proname = 'hnswhandler'"
        assert admin.execute(extension).fetchone() == (True,)
        assert admin.execute(OWNERS).fetchall() == [("spocdb",)]
    with Database(from_environment(url, environment)) as db:
        execute = db.connection.execute
        found = "SELECT rolsuper, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = USER"
        assert execute(found).fetchone() == (False, False, False)
        assert warnings_of(db.connection) == []
        execute("CREATE TABLE mine ()")
        assert execute("SELECT to_regclass('public.mine') IS NOT NULL").fetchone() == (True,)
        execute("ALTER TABLE goods ADD photo text")
        execute("INSERT INTO goods DEFAULT VALUES")
        assert execute("SELECT count(*) FROM own.seen").fetchone() == (2,)
        # The owner creates the roles that it grants rights to.
        execute("CREATE ROLE web LOGIN")
        execute("CREATE DATABASE test_of_an_application")
        db.grant_worker("web")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute("SELECT pg_read_file('PG_VERSION')")
    with psycopg.connect(make_conninfo(url, user="reader")) as reader:
        assert reader.execute("SELECT count(*) FROM goods").fetchone() == (2,)
    # A second start changes nothing.
    assert embedded.start(own_server) == url


def test_another_role_becomes_the_owner(
    roles: dict[str, str], stocked: Any, url: str, environment: dict[str, str]
) -> None:
    stocked.db.grant_reader(roles["reader"], "products")
    stocked.db.grant_worker(roles["worker"])
    (advice,) = warnings_of(stocked.db.connection)
    assert "`db.grant_owner('spocdb_owner')`" in advice
    for role, message in (("nobody at all", "there is no role"), ("postgres", "a superuser")):
        with pytest.raises(ConfigError, match=message):
            stocked.db.grant_owner(role)
    stocked.db.grant_owner(roles["owner"])
    assert warnings_of(stocked.db.connection) == []
    assert stocked.execute(OWNERS).fetchall() == [(roles["owner"],)]

    stocked.execute("INSERT INTO products VALUES (7, '0000.jpg', 'new')")
    stocked.execute("DELETE FROM products WHERE id = 1")
    for who in ("worker", "owner"):
        as_role = make_conninfo(url, user=roles[who])
        with Database(from_environment(as_role, environment)) as db:
            theirs = type(stocked)(db, stocked.folder, stocked.recipe)
            assert theirs.work().n_failed == 0
    assert stocked.found() == ["2", "3", "4", "5", "6", "7"]
    with Database(from_environment(make_conninfo(url, user=roles["owner"]), environment)) as db:
        theirs = type(stocked)(db, stocked.folder, stocked.recipe)
        theirs.attach(metadata=["name"], condition="id > 2")
        theirs.attach(collection="again")
        theirs.work()
        assert theirs.found() == ["3", "4", "5", "6", "7"]
    with connections.connect(make_conninfo(url, user=roles["reader"])) as connection:
        assert connection.execute("SELECT FROM spocdb.similar_rows('products', 3)").rowcount == 4


def test_who_upgrades_does_not_become_the_owner_of_what_is_new(
    roles: dict[str, str], empty_url: str
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION vector")
        owner = Identifier(roles["owner"])
        admin.execute(SQL("CREATE SCHEMA spocdb AUTHORIZATION {}").format(owner))
        as_owner = make_conninfo(empty_url, user=roles["owner"])
        schema.upgrade(as_owner)
        schema.downgrade(as_owner, "0.1.0")
        admin.execute("DROP FUNCTION spocdb.view_key(text)")
        schema.upgrade(empty_url)
        assert len(admin.execute(OWNERS).fetchall()) == 1
        admin.execute("DROP FUNCTION spocdb.view_key(text)")
        schema.downgrade(empty_url, "0.1.0")
        assert len(admin.execute(OWNERS).fetchall()) == 1


def test_the_roles_of_the_compose_file(
    server: str, psql: Psql, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    # A role of its own, because the tests' superuser must keep its password.
    script = compose["configs"]["roles"]["content"].replace("spocdb", "spocdb_composed")
    script = script.replace("ALTER ROLE postgres PASSWORD NULL;", "")
    monkeypatch.setenv("POSTGRES_PASSWORD", "it's secret")
    with psycopg.connect(server, autocommit=True) as admin:
        try:
            psql(server, script).check_returncode()
            url = make_conninfo(server, user="spocdb_composed", dbname="spocdb_composed")
            schema.upgrade(url)
            with Database(from_environment(url, environment)) as db:
                assert warnings_of(db.connection) == []
                assert db.collections() == []
                db.connection.execute("CREATE TABLE mine ()")
                db.connection.execute("DROP TABLE public.mine")
        finally:
            admin.execute("DROP DATABASE IF EXISTS spocdb_composed WITH (FORCE)")
            admin.execute("DROP ROLE IF EXISTS spocdb_composed")
    assert conninfo_to_dict(url)["user"] == "spocdb_composed"


def test_doctor_warns_of_a_role_that_may_exchange_an_attached_table(
    roles: dict[str, str], stocked: Any
) -> None:
    def warned() -> list[str]:
        return [f.what for f in doctor.examine(stocked.db.connection) if "may rename" in f.what]

    owner, database = Identifier(roles["owner"]), Identifier(stocked.db.connection.info.dbname)
    stocked.execute(SQL("CREATE SCHEMA theirs AUTHORIZATION {}").format(owner))
    stocked.execute("ALTER TABLE products SET SCHEMA theirs")
    assert warned() == []
    stocked.execute(SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, owner))
    (what,) = warned()
    assert "may rename schema theirs" in what
    stocked.db.grant_owner(roles["owner"])
    assert warned() == []
