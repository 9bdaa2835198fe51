"""Roles that a release granted rights to: what they have after an upgrade, and back again."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb.db import connections, schema
from spocdb.errors import DatabaseError
from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.migration.test_releases import DATA, Psql

# As `db grant` of 0.1.0 did.
GRANTS = """
GRANT USAGE ON SCHEMA spocdb TO {reader}, {worker};
GRANT SELECT ON spocdb.photos TO {reader};
GRANT SELECT ON ALL TABLES IN SCHEMA spocdb TO {worker};
GRANT INSERT, UPDATE, DELETE ON spocdb.images, spocdb.failures, spocdb.queue TO {worker};
"""
COUNT = "SELECT count(*) FROM spocdb.images"


@pytest.fixture
def old_roles(server: str) -> Iterator[dict[str, str]]:
    """Return the names of a reader and a worker; named before its database, they outlive it."""
    names = {name: f"{name} {uuid4().hex}" for name in ("reader", "worker")}
    with psycopg.connect(server, autocommit=True) as admin:
        for name in names.values():
            admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        yield names
        for name in names.values():
            admin.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def test_an_upgrade_needs_no_new_grant_and_shows_no_more(
    old_roles: dict[str, str],
    empty_url: str,
    psql: Psql,
    environment: dict[str, str],
) -> None:
    psql(empty_url, (DATA / "0.1.0.sql").read_text()).check_returncode()
    quoted = {name: Identifier(role) for name, role in old_roles.items()}
    with psycopg.connect(empty_url, autocommit=True) as admin:
        admin.execute(SQL(GRANTS).format(**quoted))
    reader, worker = (make_conninfo(empty_url, user=role) for role in old_roles.values())
    with pytest.raises(DatabaseError, match=r"`spocdb.db.schema.upgrade\(...\)`, which lets"):
        Database(from_environment(reader, environment))

    schema.upgrade(empty_url)
    with Database(from_environment(reader, environment)) as db:
        assert [c.name for c in db.collections()] == ["photos"]
        assert db.count() == len([*db.images()]) > 0
        assert {failure.collection for failure in db.failures()} <= {"photos"}
    with connections.connect(empty_url) as admin, connections.connect(worker) as theirs:
        (n_images,) = connections.one_row(admin, COUNT)
        assert connections.one_row(theirs, COUNT) == (n_images,)
        deleted = theirs.execute("DELETE FROM spocdb.failures RETURNING collection_id").fetchall()
        assert len({collection for (collection,) in deleted}) == 2

    schema.downgrade(empty_url, "0.1.0")
    with connections.connect(reader) as theirs:
        assert theirs.execute("SELECT path FROM spocdb.photos").fetchall()
        for relation in ("images", "collections", "alembic_version", "coverage"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                theirs.execute(SQL("SELECT FROM spocdb.{}").format(Identifier(relation)))
