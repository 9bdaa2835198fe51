"""Roles with the least rights: what a reader and a worker may do, and may not."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from spocdb.db import connections

DENIED = psycopg.errors.InsufficientPrivilege
# PostgreSQL refuses sequences and views of joins before it checks rights.
REFUSED = (DENIED, psycopg.errors.WrongObjectType, psycopg.errors.ObjectNotInPrerequisiteState)


LogIn = Callable[[str], connections.Connection]

SEARCHES = [
    "SELECT * FROM spocdb.{c} ORDER BY embedding <#> (SELECT embedding FROM spocdb.{c} LIMIT 1)",
    "SELECT * FROM spocdb.search('{c}', spocdb.embedding('{c}', {n}), filter => '{{}}')",
    "SELECT * FROM spocdb.similar('{c}', {n}, filter => '[[\"n\", \"exists\", false]]')",
    'SELECT FROM spocdb.{c} WHERE metadata @@ spocdb.filter_path(\'[["n", "exists", false]]\')',
    "SELECT * FROM spocdb.search('{c}', array_fill(1, ARRAY[256])::real[]::vector)",
    "SELECT * FROM spocdb.similar('{c}', {n})",
    "SELECT * FROM spocdb.within('{c}', array_fill(1, ARRAY[256])::real[]::vector, 2)",
    "SELECT * FROM spocdb.similar_rows('{c}', 1)",
    "SELECT * FROM spocdb.similar_rows('{c}', '1')",
    "SELECT spocdb.embed('{c}', array_fill(1, ARRAY[256])::real[]::vector)",
    "SELECT spocdb.embedding('{c}', {n})",
    "SELECT spocdb.expand('{c}', array_fill(1, ARRAY[256])::real[]::vector)",
    "SELECT spocdb.rocchio('{c}', '{{{n}}}')",
    "SELECT * FROM spocdb.embeddings('{c}', '{{{n}}}')",
    "SELECT * FROM spocdb.embeddings_after('{c}', 0, 1)",
    "SELECT spocdb.count_embeddings('{c}', 1)",
]


def test_a_reader_searches_its_collection_and_no_other(
    granted: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    (secret,) = granted.execute("SELECT min(image_id) FROM spocdb.secret").fetchone()
    execute = log_in(roles["reader"]).execute
    for search in SEARCHES:
        assert execute(search.format(c="products", n=1)).fetchall(), search
        with pytest.raises(DENIED):
            execute(search.format(c="secret", n=secret))
    joined = """
        SELECT p.id, p.name FROM products p JOIN spocdb.products s USING (id)
        ORDER BY s.embedding <#> (SELECT embedding FROM spocdb.products WHERE id = 3) LIMIT 2
    """
    assert execute(joined).fetchone() == (3, "shoe 3")
    with pytest.raises(psycopg.errors.NoDataFound):
        execute("SELECT spocdb.embedding('products', %s)", [secret])


@pytest.fixture
def relations(granted: Any) -> list[str]:
    """Return all relations of the schema except the granted view."""
    rows = granted.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'spocdb'::regnamespace "
        "AND relkind IN ('r', 'v', 'S') AND relname <> 'products'"
    )
    return [row[0] for row in rows]


# What everybody with USAGE on the schema may select from; policies choose the rows, which
# test_reader_rows.py shows.
BY_POLICY = {
    "spocdb.alembic_version",
    "spocdb.collections",
    "spocdb.coverage",
    "spocdb.duplicate_changes",
    "spocdb.duplicate_decisions",
    "spocdb.duplicate_members",
    "spocdb.duplicate_pairs",
    "spocdb.duplicate_searches",
    "spocdb.duplicate_thresholds",
    "spocdb.duplicate_ungrouped",
    "spocdb.embedding_tables",
    "spocdb.failures",
    "spocdb.images",
    "spocdb.map_positions",
    "spocdb.maps",
    "spocdb.projection_components",
    "spocdb.queries",
    "spocdb.recalls",
    "spocdb.thumbnails",
}
# Its rows are the reader's own: test_asked_queries.py.
ASKED = "spocdb.queries"


def test_a_reader_reads_and_writes_nothing_else(
    granted: Any, roles: dict[str, str], log_in: LogIn, relations: list[str]
) -> None:
    assert len(relations) > 15 and set(relations) > BY_POLICY
    execute = log_in(roles["reader"]).execute
    for relation in set(relations) - BY_POLICY:
        with pytest.raises(DENIED):
            execute(f"SELECT * FROM {relation}")
    for relation in {*relations, "spocdb.products", "products"} - {ASKED}:
        for write in ("DELETE FROM {}", "TRUNCATE {}", "INSERT INTO {} DEFAULT VALUES"):
            with pytest.raises(REFUSED):
                execute(write.format(relation))
    for statement in (
        "CREATE TABLE spocdb.x ()",
        "DROP VIEW spocdb.products",
        "SELECT photo FROM products",
        "UPDATE spocdb.products SET metadata = '{}'",
    ):
        with pytest.raises(REFUSED):
            execute(statement)


# Functions that a reader, or any role with USAGE, may call: they search, ask, or show what the role
# may read, or read no data.
HARMLESS = {
    "ask",
    "attached",
    "by_index",
    "candidates",
    "collapse",
    "compared_path",
    "condition_path",
    "contains_path",
    "count_coverage",
    "count_embeddings",
    "coverage_of",
    "described_by",
    "duplicate_groups",
    "duplicate_review",
    "embed",
    "embedded_by",
    "embedding",
    "embedding_table",
    "embeddings",
    "embeddings_after",
    "estimated_rows",
    "expand",
    "filter_path",
    "fitted_on",
    "iterative_scan",
    "may_read",
    "near_duplicates",
    "owner",
    "rocchio",
    "search",
    "search_collapsed",
    "similar",
    "similar_rows",
    "throughput",
    "view_key",
    "within",
}
CALLS = {
    "admit_query": "",
    "attach": "'products', 'id', 'photo', root => '/'",
    "delete_images": "'products', '{1}'",
    "detach": "'products'",
    "ef_search": "1, 1, 1",
    "enqueue": "'products', '{a.jpg}'",
    "retry": "'products'",
    "create_collection": "'mine', 1",
    "add_extractor": "'mine', 'mine', '{}', 3",
    "columns_of": "'products', 'id > 1'",
    "judge_source": "'products', 'id', 'photo', '/', false, 'id > 1', '{}'",
    "source_rows": "1, '{1}'",
    "lock_rows": "1, '{1}'",
    "activate": "1, 1",
    "add_embedding_table": "1, 2",
    "drop_embedding_table": "1, 1",
    "make_embedding_table": "1, 1, 'x', 1",
    "copy_embeddings": "1, 2",
    "repartition": "1, 2",
    "forget_embeddings": "",
    "forget_position": "",
    "forget_thumbnails": "",
    "refuse_update": "",
    "hazard_of": "'products', '{id}'",
    "types_of": "'products', '{id}'",
    "judge_condition": "'{{}}'",
    "project": "array_fill(1, ARRAY[256])::real[]::vector, 1",
    "target": "'products'",
    "unit_query": "'products', 2, '[1,0]'",
    "duplicate_level": "1, 1, 'a', 'b', 0",
    "duplicate_target": "'products'",
    "note_duplicates": "",
    "note_reordered": "",
    "wake_workers": "",
}


def test_a_reader_calls_no_function_that_does_more(
    granted: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    names = granted.execute(
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'spocdb'::regnamespace"
    ).fetchall()
    execute = log_in(roles["reader"]).execute
    before = granted.db.tables.coverage()
    called = 0
    for (name,) in names:
        if name in HARMLESS:
            continue
        no_trigger = psycopg.errors.FeatureNotSupported
        refused = (DENIED, no_trigger, psycopg.errors.InvalidName)
        arguments = "" if name.startswith("enqueue_") else CALLS.get(name, "1")
        with pytest.raises(refused, match=r"denied|only be called as trigger|must be owner"):
            execute(f"SELECT spocdb.{name}({arguments})")
        called += 1
    assert called > 15
    assert granted.db.tables.coverage() == before


def test_set_role_is_honoured(granted: Any, roles: dict[str, str], log_in: LogIn) -> None:
    """A superuser after SET ROLE is a reader; members inherit its rights, or must SET ROLE."""
    search = "SELECT count(*) FROM spocdb.similar_rows({}, 1)"
    reader, member = Identifier(roles["reader"]), Identifier(roles["member"])
    granted.execute(SQL("SET ROLE {}").format(reader))
    assert granted.execute(search.format("'products'")).fetchone() == (5,)
    with pytest.raises(DENIED, match="may not read collection secret"):
        granted.execute(search.format("'secret'"))
    granted.execute("RESET ROLE")
    assert granted.execute(search.format("'secret'")).fetchone() == (5,)
    granted.execute(SQL("SET SESSION AUTHORIZATION {}").format(reader))
    with pytest.raises(DENIED):
        granted.execute(search.format("'secret'"))
    granted.execute("RESET SESSION AUTHORIZATION")

    execute = log_in(roles["member"]).execute
    with pytest.raises(DENIED):
        execute(search.format("'products'"))
    granted.execute(SQL("GRANT {} TO {}").format(reader, member))
    assert execute(search.format("'products'")).fetchone() == (5,)
    with pytest.raises(DENIED):
        execute(search.format("'secret'"))
    granted.execute(SQL("ALTER ROLE {} NOINHERIT").format(member))
    granted.execute(SQL("REVOKE {} FROM {}").format(reader, member))
    granted.execute(SQL("GRANT {} TO {}").format(reader, member))
    with pytest.raises(DENIED):
        execute(search.format("'products'"))
    execute(SQL("SET ROLE {}").format(reader))
    assert execute(search.format("'products'")).fetchone() == (5,)


def test_an_application_that_may_write_its_table_needs_no_more(
    granted: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    writer = Identifier(roles["writer"])
    granted.execute(
        SQL("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON products TO {}").format(writer)
    )
    execute = log_in(roles["writer"]).execute
    for statement in (
        "INSERT INTO products VALUES (7, '0000.jpg')",
        "UPDATE products SET photo = '0001.jpg' WHERE id = 1",
        "UPDATE products SET id = 12 WHERE id = 2",
        "DELETE FROM products WHERE id = 3",
    ):
        execute(statement)
    assert granted.found() == ["1", "4", "5", "6"]
    granted.work()
    assert granted.found() == granted.found("secret") == ["1", "12", "4", "5", "6", "7"]
    with pytest.raises(DENIED):
        execute("SELECT FROM spocdb.products")
    execute("TRUNCATE products")
    assert granted.found() == granted.found("secret") == []


def test_policies_hold_through_a_join_with_the_view(
    granted: Any, roles: dict[str, str], log_in: LogIn
) -> None:
    granted.execute("ALTER TABLE products ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    granted.execute("CREATE POLICY even ON products USING (id % 2 = 0)")
    execute = log_in(roles["reader"]).execute
    joined = "SELECT id FROM products p JOIN spocdb.products s USING (id) ORDER BY id"
    assert execute(joined).fetchall() == [(2,), (4,), (6,)]
    # A superuser owns spocdb here, and policies do not apply to it.
    granted.execute("UPDATE products SET name = 'x'")
    granted.work()
    assert len(granted.found()) == 6


def test_grants_on_the_command_line(
    roles: dict[str, str], shop: Any, spocdb: Callable[..., Any]
) -> None:
    shop.attach()
    reader, worker, owner = roles["reader"], roles["worker"], roles["owner"]
    may_read = f"{reader} may read and search products\n"
    for arguments, code, said in (
        (["--reader", reader], 0, may_read),
        (["--reader", reader, "--collection", "products"], 0, may_read),
        (["--worker", worker], 0, f"{worker} may run `spocdb worker`\n"),
        (["--worker", "nobody at all"], 1, ""),
        (["--reader", reader, "--collection", "nothing"], 1, ""),
        (["--reader", reader, "--worker", worker], 2, ""),
        ([], 2, ""),
        (["--owner", owner], 0, f"{owner} owns spocdb\n"),
    ):
        ran = spocdb("db", "grant", *arguments)
        assert (ran.returncode, ran.stdout) == (code, said), ran.stderr
        assert code != 1 or ran.stderr.count("\n") == 1
