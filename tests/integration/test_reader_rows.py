"""Which rows of spocdb's tables a reader gets, by whatever statement it asks for them."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from spocdb.db import connections

DENIED = psycopg.errors.InsufficientPrivilege

LogIn = Callable[[str], connections.Connection]

MINE = "(SELECT id FROM spocdb.collections WHERE name = 'products')"
KEPT = f"(SELECT projection_id FROM spocdb.embedding_tables WHERE collection_id = {MINE})"
MAPS = f"(SELECT id FROM spocdb.maps WHERE collection_id = {MINE})"
CONTENTS = f"(SELECT sha256 FROM spocdb.images WHERE collection_id = {MINE})"
# What a reader of `products` may select, and the condition by which the owner finds the same rows.
ROWS = {
    "* FROM spocdb.alembic_version": "true",
    "* FROM spocdb.collections": "name = 'products'",
    "* FROM spocdb.images": f"collection_id = {MINE}",
    "* FROM spocdb.failures": f"collection_id = {MINE}",
    "* FROM spocdb.maps": f"collection_id = {MINE}",
    "* FROM spocdb.map_positions": f"map_id IN {MAPS}",
    "* FROM spocdb.duplicate_searches": f"collection_id = {MINE}",
    "* FROM spocdb.duplicate_changes": f"collection_id = {MINE}",
    "* FROM spocdb.duplicate_pairs": f"collection_id = {MINE}",
    "* FROM spocdb.duplicate_members": f"collection_id = {MINE}",
    "* FROM spocdb.duplicate_ungrouped": f"collection_id = {MINE}",
    "* FROM spocdb.duplicate_decisions": f"a IN {CONTENTS} AND b IN {CONTENTS}",
    "* FROM spocdb.embedding_tables": f"collection_id = {MINE}",
    "* FROM spocdb.projection_components": f"projection_id IN {KEPT}",
    "id, extractor_id, kind, dim, mean, n_samples, settings, fingerprint, created_at "
    "FROM spocdb.projections": f"id IN {KEPT}",
    "id, name, fingerprint, recipe, dim, created_at FROM spocdb.extractors": "id = 1",
    "collection, projection, rows, failed FROM spocdb.coverage": "collection = 'products'",
}
# What would tell of others: where projections and networks come from, what shares its bytes.
HIDDEN = [
    "fitted_on FROM spocdb.projections",
    "parentage FROM spocdb.extractors",
    "sha256 FROM spocdb.descriptors",
    "image_id FROM spocdb.embeddings_1_1",
    "condition FROM spocdb.sources",
    "key FROM spocdb.queue",
    "summary FROM spocdb.runs",
]


NOTE = """
INSERT INTO spocdb.duplicate_changes (collection_id, projection_id, sha256)
SELECT collection_id, projection_id, a FROM spocdb.duplicate_pairs;
INSERT INTO spocdb.duplicate_ungrouped (collection_id, projection_id, sha256)
SELECT DISTINCT collection_id, projection_id, a FROM spocdb.duplicate_pairs
"""


@pytest.fixture
def mixed(granted: Any, make_photos: Callable[..., Any]) -> Any:
    """Return the shop with failures, projections of each collection, and another extractor's."""
    granted.execute("INSERT INTO products VALUES (8, 'none.txt')")
    (granted.folder / "none.txt").write_text("no picture")
    granted.work()
    for name in ("products", "secret"):
        granted.db.pca.activate(granted.db.pca.fit(name, dim=len(name) - 3), name)
        granted.db.map(name, method="components")
        granted.db.duplicates.find(name, distance=2)
    granted.db.ingest(make_photos(3, "more", 1), collection="more", extractor="mini", size=48)
    for name in ("products", "more"):
        one, other, *_ = (image.id for image in granted.db.images(collection=name))
        granted.db.duplicates.decide(one, other, "same", collection=name)
    granted.execute(NOTE)
    return granted


def test_a_reader_gets_the_rows_of_its_collection(
    mixed: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    reader = log_in(roles["reader"])
    for select, condition in ROWS.items():
        theirs = sorted(map(str, reader.execute(f"SELECT {select}")))
        own = sorted(map(str, mixed.execute(f"SELECT {select} WHERE {condition}")))
        every = mixed.execute(f"SELECT {select}").fetchall()
        assert theirs == own != [], select
        assert len(theirs) < len(every) or "alembic_version" in select
    for select in HIDDEN:
        with pytest.raises(DENIED):
            reader.execute(f"SELECT {select}")
    for statement in (
        "SELECT FROM spocdb.images FOR UPDATE",
        "SELECT FROM spocdb.collections FOR SHARE",
        "UPDATE spocdb.images SET metadata = '{}'",
        "DELETE FROM spocdb.failures",
        "ALTER TABLE spocdb.images DISABLE ROW LEVEL SECURITY",
        "DROP POLICY readable ON spocdb.images",
        "CREATE POLICY mine ON spocdb.images USING (true)",
        "CREATE TEMP TABLE t (id bigint REFERENCES spocdb.images)",
    ):
        with pytest.raises((DENIED, psycopg.errors.InvalidTableDefinition)):
            reader.execute(statement)
    reader.execute("SET row_security = off")
    with pytest.raises(DENIED, match="row-level security"):
        reader.execute("SELECT FROM spocdb.images")


def test_functions_tell_a_reader_of_its_collection_alone(
    mixed: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    execute = log_in(roles["reader"]).execute
    mine, theirs = (
        mixed.execute(f"SELECT min({key}) FROM spocdb.{name}").fetchone()[0]
        for key, name in (("image_id", "products"), ("image_id", "secret"))
    )
    raw, own, other = 1, 2, 3
    asked = "SELECT spocdb.described_by(%s), spocdb.embedded_by(%s)"
    (name,) = mixed.execute("SELECT name FROM spocdb.extractors WHERE id = 1").fetchone()
    assert execute(asked, [mine, mine]).fetchone() == ([name], [raw, own])
    assert execute(asked, [theirs, theirs]).fetchone() == (None, [])
    assert mixed.execute(asked, [theirs, theirs]).fetchone() == ([name], [raw, other])
    # The same bytes in a collection of another extractor.
    mixed.db.ingest(mixed.folder, collection="more", extractor="mini", size=48)
    assert execute(asked, [mine, mine]).fetchone() == ([name], [raw, own])
    assert len(mixed.execute(asked, [mine, mine]).fetchone()[0]) == 2

    fitted = "SELECT spocdb.fitted_on(%s) -> 'collections'"
    assert execute(fitted, [own]).fetchone() == (["products"],)
    assert execute(fitted, [other]).fetchone() == (None,)
    assert mixed.execute(fitted, [other]).fetchone() == (["secret"],)
    attached = "SELECT collection, key_column, root, condition FROM spocdb.attached()"
    assert execute(attached).fetchall() == [("products", "id", None, None)]
    assert execute("SELECT FROM spocdb.attached('secret')").fetchall() == []
    assert len(mixed.execute(attached).fetchall()) == 2
    readable = "SELECT spocdb.may_read('products'), spocdb.may_read('secret'), spocdb.may_read()"
    assert execute(readable).fetchone() == (True, False, False)
    assert execute("SELECT spocdb.may_read('queue'), spocdb.may_read('no')").fetchone() == (
        False,
        False,
    )


def test_a_reader_counts_coverage_without_its_application_s_table(
    mixed: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    """Reading it would lock it against the application's ALTER TABLE, for as long as it likes."""
    counts = (
        "SELECT rows, embedded, pending, failed, problem FROM spocdb.coverage "
        "WHERE active AND collection = 'products'"
    )
    mixed.execute("UPDATE products SET photo = '0001.jpg' WHERE id = 1")
    with log_in(roles["reader"]) as reader, reader.transaction():
        assert reader.execute(counts).fetchall() == [(7, 5, 1, 1, None)]
        mixed.execute("SET lock_timeout = '5s'; ALTER TABLE products ADD price integer")
    # What is wrong with it is not said either: an error may quote a value.
    mixed.execute("ALTER TABLE products DROP photo CASCADE")
    assert "photo" in mixed.execute(counts).fetchone()[-1]
    with log_in(roles["reader"]) as reader:
        assert reader.execute(counts).fetchone() == (7, 5, 1, 1, None)


def test_no_function_of_a_reader_sees_other_rows(
    mixed: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    reader, seen = log_in(roles["reader"]), []
    reader.add_notice_handler(lambda notice: seen.append(notice.message_primary))
    reader.execute(
        """
        CREATE FUNCTION pg_temp.leaks(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0001
        AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$;
        CREATE FUNCTION pg_temp.leaks(a bigint, b bigint) RETURNS boolean LANGUAGE plpgsql
        COST 0.0001 AS $$ BEGIN RAISE NOTICE '% %', a, b; RETURN a = b; END $$;
        CREATE OPERATOR pg_temp.=== (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = pg_temp.leaks);
        """
    )
    for table, column, n in (
        ("collections", "name", 1),
        ("images", "collection_id", 6),
        ("failures", "collection_id", 1),
        ("embedding_tables", "collection_id", 2),
        ("projections", "id", 2),
        ("extractors", "name", 1),
    ):
        seen.clear()
        reader.execute(f"SELECT FROM spocdb.{table} WHERE pg_temp.leaks({column})")
        assert len(seen) == n, table
    joined = "spocdb.collections c JOIN spocdb.images i ON c.id OPERATOR(pg_temp.===) {}"
    for other in ("i.collection_id", "(i.collection_id + 0)"):
        seen.clear()
        assert len(reader.execute(f"SELECT FROM {joined.format(other)}").fetchall()) == 6
        assert set(seen) == {"1 1"}
    # An error in a condition tells of a value too, and a division by zero of a guess.
    reader.execute("SELECT FROM spocdb.collections WHERE 1 / (name = 'products')::integer = 1")
    reader.execute("SELECT FROM spocdb.images WHERE 1 / (collection_id = 1)::integer = 1")


def test_rights_count_when_a_statement_runs(
    mixed: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    """Not when it was prepared, or a view was made, and not by whom."""
    reader = Identifier(roles["reader"])
    names = "SELECT name FROM spocdb.collections ORDER BY 1"
    everything, own = [("more",), ("products",), ("secret",)], [("products",)]
    mixed.execute(f"PREPARE listed AS {names}")
    for _ in range(7):  # PostgreSQL keeps a plan after five
        assert mixed.execute("EXECUTE listed").fetchall() == everything
    mixed.execute(SQL("SET ROLE {}").format(reader))
    assert mixed.execute("EXECUTE listed").fetchall() == own
    mixed.execute("RESET ROLE")
    assert mixed.execute("EXECUTE listed").fetchall() == everything

    connection = log_in(roles["reader"])
    connection.execute(f"CREATE TEMP VIEW seen AS {names}")
    connection.execute(f"PREPARE listed AS {names}")
    for statement in ("SELECT * FROM seen", "EXECUTE listed", "TABLE seen"):
        for _ in range(7):
            assert connection.execute(statement).fetchall() == own
    with connection.cursor().copy("COPY spocdb.collections (name) TO STDOUT") as copy:
        assert b"".join(copy) == b"products\n"
    mixed.execute(SQL("GRANT SELECT ON spocdb.secret TO {}").format(reader))
    assert connection.execute("EXECUTE listed").fetchall() == everything[1:]
    mixed.execute(SQL("REVOKE SELECT ON spocdb.secret, spocdb.products FROM {}").format(reader))
    for statement in ("SELECT * FROM seen", "EXECUTE listed", "SELECT FROM spocdb.images"):
        assert connection.execute(statement).fetchall() == []
    # A column of the view is not the view.
    mixed.execute(SQL("GRANT SELECT (embedding) ON spocdb.secret TO {}").format(reader))
    assert connection.execute("EXECUTE listed").fetchall() == []


def test_others_see_no_row_and_those_of_all_tables_every_row(
    mixed: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    member, images = log_in(roles["member"]), "SELECT count(*) FROM spocdb.images"
    with pytest.raises(DENIED, match="schema spocdb"):
        member.execute(images)
    mixed.execute(SQL("GRANT USAGE ON SCHEMA spocdb TO {}").format(Identifier(roles["member"])))
    assert member.execute(images).fetchone() == (0,)
    assert member.execute("SELECT FROM spocdb.coverage").fetchall() == []
    mixed.execute(
        SQL("GRANT {} TO {}").format(*map(Identifier, (roles["reader"], roles["member"])))
    )
    assert member.execute(images).fetchone() == (6,)
    mixed.execute(SQL("GRANT pg_read_all_data TO {}").format(Identifier(roles["member"])))
    (n_all,) = mixed.execute(images).fetchone()
    assert member.execute(images).fetchone() == (n_all,)
    # A worker, also of a collection that was made after its grant.
    worker = log_in(roles["worker"])
    assert worker.execute(images).fetchone() == (n_all,)
    assert len(worker.execute("SELECT FROM spocdb.similar_rows('secret', 1)").fetchall()) == 5
    (more,) = mixed.execute("SELECT min(id) FROM spocdb.more").fetchone()
    assert len(worker.execute("SELECT FROM spocdb.similar('more', %s)", [more]).fetchall()) == 2


def test_policies_keep_the_index_look_ups(
    mixed: Any, roles: dict[str, str], log_in: LogIn, plan: Callable[..., str]
) -> None:
    """Only leakproof operators may be evaluated before a policy: those of paths and ids are."""
    # Of few images, servers before 17 would rather filter what one look-up finds than do two.
    mixed.execute(
        "INSERT INTO spocdb.images (collection_id, path, sha256, size, version, width, height) "
        "SELECT collection_id, (n + 1000)::text, sha256, size, version, width, height "
        "FROM spocdb.images, generate_series(1, 3000) n WHERE id = 1"
    )
    mixed.execute("ANALYZE spocdb.images")
    of_paths = "Index Cond: ((collection_id = 1) AND (path "
    for role in ("worker", "reader"):
        connection = log_in(roles[role])
        connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        for condition in ("path > '3'", "path = '3'", "path = ANY ('{3,4}')"):
            statement = f"SELECT id FROM spocdb.images WHERE collection_id = 1 AND {condition}"
            assert of_paths in plan(connection, statement), (role, condition)
        by_id = plan(connection, "SELECT path FROM spocdb.images WHERE id = 1")
        assert "Index Cond: (id = 1)" in by_id
        by_bytes = plan(connection, "SELECT id FROM spocdb.images WHERE sha256 = '\\x00'")
        assert "images_sha256" in by_bytes


def test_statistics_of_others_are_hidden(mixed: Any, roles: dict[str, str], log_in: LogIn) -> None:
    mixed.execute("ANALYZE spocdb.images, spocdb.collections, spocdb.failures")
    values = "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'spocdb'"
    assert ("images",) in mixed.execute(values).fetchall()
    assert log_in(roles["reader"]).execute(values).fetchall() == []


def test_names_that_need_quotes_are_names(
    mixed: Any, roles: dict[str, str], log_in: LogIn, make_photos: Callable[..., Any]
) -> None:
    """A collection is readable by its own view, whatever its name looks like."""
    folder = make_photos(2, "odd", 2)
    for name in ('"products"', "spocdb.products", "products ", "Products"):
        mixed.db.ingest(folder, collection=name, **mixed.recipe)
    execute = log_in(roles["reader"]).execute
    names = "SELECT name FROM spocdb.collections ORDER BY 1"
    assert execute(names).fetchall() == [("products",)]
    mixed.db.grant_reader(roles["reader"], '"products"')
    assert execute(names).fetchall() == [('"products"',), ("products",)]
