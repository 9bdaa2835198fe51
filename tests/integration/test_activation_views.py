"""Activating a projection keeps the view's grants, and is refused for views that depend on it."""

from collections.abc import Callable

import pytest
from psycopg.sql import SQL, Identifier

from spocdb.db.collections import Collection
from spocdb.errors import DatabaseError
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]


def test_rights_on_the_view_outlive_a_change_of_dimension(
    db: Database, add_images: AddImages, clustered: Clustered, role: str
) -> None:
    add_images(db.connection, clustered(100))
    grantee = Identifier(role)
    for statement in (
        "GRANT SELECT ON spocdb.photos TO {} WITH GRANT OPTION",
        "GRANT DELETE ON spocdb.photos TO {}",
        "GRANT SELECT ON spocdb.photos TO PUBLIC",
    ):
        db.connection.execute(SQL(statement).format(grantee))
    acl = "SELECT relacl::text[] FROM pg_class WHERE oid = 'spocdb.photos'::regclass"
    before = db.connection.execute(acl).fetchone()
    assert before is not None
    for number in (db.pca.fit(dim=8), 1):
        db.pca.activate(number)
        after = db.connection.execute(acl).fetchone()
        assert after is not None
        assert sorted(after[0]) == sorted(before[0])


def test_the_view_gets_no_rights_that_were_taken_from_it(
    db: Database, add_images: AddImages, clustered: Clustered, role: str
) -> None:
    grantee = Identifier(role)
    default = "ALTER DEFAULT PRIVILEGES IN SCHEMA spocdb GRANT SELECT ON TABLES TO {}"
    db.connection.execute(SQL(default).format(grantee))
    add_images(db.connection, clustered(100))
    db.connection.execute(SQL("REVOKE ALL ON spocdb.photos FROM {}").format(grantee))
    db.pca.activate(db.pca.fit(dim=8))
    row = db.connection.execute(
        "SELECT has_table_privilege(%s, 'spocdb.photos', 'SELECT')", [role]
    ).fetchone()
    assert row == (False,)


def test_a_view_on_the_view_survives_projections_of_one_dimension(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(100))
    first, second = db.pca.fit(dim=8), db.pca.fit(dim=8, whiten=False)
    db.pca.activate(first)
    db.connection.execute("CREATE VIEW shop AS SELECT path, embedding FROM spocdb.photos")
    db.pca.activate(second)
    row = db.connection.execute(
        f"SELECT count(*) FROM shop s JOIN spocdb.images i USING (path) "
        f"JOIN spocdb.embeddings_1_{second} e ON e.image_id = i.id AND e.embedding = s.embedding"
    ).fetchone()
    assert row == (100,)


def test_a_view_on_the_view_blocks_another_dimension_and_all_stays_as_it_was(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(100))
    db.index.build("photos")
    db.connection.execute("CREATE VIEW shop AS SELECT path, embedding FROM spocdb.photos")
    before = db.similar(1)
    number = db.pca.fit(dim=8)
    with pytest.raises(DatabaseError) as caught:
        db.pca.activate(number)
    assert "view public.shop depends on view photos" in str(caught.value)
    assert "CASCADE" not in str(caught.value), "that would not be what to do"
    assert db.similar(1) == before
    db.connection.execute("DROP VIEW shop")
    db.pca.activate(number)
    assert db.similar(1) != before
