"""The schema is created, dropped and created again, the same, in a database with other objects."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb.db import collections, connections, schema, writing
from spocdb.db.batch import Batch
from spocdb.errors import DatabaseError, SchemaOutOfDate
from spocdb.features.recipes import make_recipe
from spocdb.records import ImageRef, NewDescriptor
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Dump = Callable[..., str]
Psql = Callable[..., "subprocess.CompletedProcess[str]"]

APPLICATION = """
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('the shop''s own');
CREATE TABLE images (id integer PRIMARY KEY, collections text);
INSERT INTO images VALUES (1, 'theirs');
CREATE VIEW projections AS SELECT * FROM images;
CREATE FUNCTION search(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
"""


@pytest.fixture
def plain_role(server: str, empty_url: str) -> Iterator[str]:
    """Return the name of a role without any attribute that owns the empty database."""
    name = "spocdb_test_owner"
    database = psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP ROLE IF EXISTS {name}")
        admin.execute(f"CREATE ROLE {name} LOGIN")
        statement = SQL("ALTER DATABASE {} OWNER TO {}")
        admin.execute(statement.format(Identifier(str(database)), Identifier(name)))
        yield name
        admin.execute(statement.format(Identifier(str(database)), SQL("CURRENT_USER")))
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


def use(url: str, environment: dict[str, str]) -> None:
    """Run everything that uses the extension: write, index, fit, activate, search."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(60, 512))
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    raw = raw.astype(np.float16).astype(np.float32)
    with Database(from_environment(url, environment)) as db:
        recipe = make_recipe("squeezenet1_1", "0" * 64)
        target = collections.create(db.connection, "photos", recipe, 512)
        hashes = [bytes([i] * 32) for i in range(len(raw))]
        batch = Batch(
            images=[(ImageRef(f"/{i}.jpg", "1 1"), sha) for i, sha in enumerate(hashes)],
            descriptors={
                sha: NewDescriptor(4, 3, row) for sha, row in zip(hashes, raw, strict=True)
            },
        )
        writing.make_staging(db.connection)
        writing.write(db.connection, target, batch, lambda _, rows: rows)
        assert db.index.build("photos") == 1
        db.pca.activate(db.pca.fit("photos", dim=8), "photos")
        db.index.build("photos", "hnsw-halfvec")
        first = db.connection.execute("SELECT min(id) FROM spocdb.photos").fetchone()
        assert first is not None
        assert len(db.similar(first[0], 5)) == 5
        assert db.map("photos", method="components").n_placed == 60


def test_up_down_up_gives_equal_dumps(
    empty_url: str, environment: dict[str, str], dump: Dump
) -> None:
    schema.upgrade(empty_url)
    before = dump(empty_url)
    assert "CREATE FUNCTION spocdb.search" in before
    use(empty_url, environment)
    schema.downgrade(empty_url, "base")
    assert "CREATE FUNCTION" not in dump(empty_url)
    assert dump(empty_url).count("CREATE TABLE") == 1  # alembic_version, now empty
    schema.upgrade(empty_url)
    assert dump(empty_url) == before


def test_an_upgrade_of_the_newest_changes_nothing(url: str, dump: Dump) -> None:
    before = dump(url)
    schema.upgrade(url)
    assert dump(url) == before


def test_the_sql_for_a_dba_makes_what_the_upgrade_makes(
    empty_url: str, url: str, spocdb: Psql, psql: Psql, dump: Dump
) -> None:
    shown = spocdb("db", "upgrade", "--sql")
    assert shown.returncode == 0, shown.stderr
    ran = psql(empty_url, shown.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert dump(empty_url) == dump(url)


def test_an_applications_objects_are_left_alone(
    empty_url: str, environment: dict[str, str], psql: Psql, dump: Dump
) -> None:
    psql(empty_url, APPLICATION + "CREATE EXTENSION vector").check_returncode()
    before = dump(empty_url)
    schema.upgrade(empty_url)
    use(empty_url, environment)
    assert dump(empty_url, "--exclude-schema=spocdb") == before
    schema.downgrade(empty_url, "base")
    assert dump(empty_url, "--exclude-schema=spocdb") == before


def test_the_extension_may_live_in_another_schema(
    empty_url: str, environment: dict[str, str], psql: Psql, dump: Dump
) -> None:
    # A schema whose name must be quoted, and that is in no search_path.
    psql(
        empty_url, 'CREATE SCHEMA "Extensions"; CREATE EXTENSION vector SCHEMA "Extensions"'
    ).check_returncode()
    schema.upgrade(empty_url)
    before = dump(empty_url)
    use(empty_url, environment)
    schema.downgrade(empty_url, "base")
    schema.upgrade(empty_url)
    assert dump(empty_url) == before


def test_the_search_path_of_a_role_does_not_matter(
    empty_url: str, environment: dict[str, str], psql: Psql
) -> None:
    psql(empty_url, "CREATE EXTENSION vector; CREATE SCHEMA app").check_returncode()
    url = make_conninfo(empty_url, options="-c search_path=app")
    schema.upgrade(url)
    use(url, environment)


def test_a_plain_role_that_owns_the_database_is_enough(
    empty_url: str, plain_role: str, environment: dict[str, str], psql: Psql
) -> None:
    psql(empty_url, "CREATE EXTENSION vector").check_returncode()
    url = make_conninfo(empty_url, user=plain_role)
    schema.upgrade(url)
    use(url, environment)
    schema.downgrade(url, "base")


def test_a_plain_role_that_owns_only_the_schema_is_enough(
    server: str, empty_url: str, plain_role: str, environment: dict[str, str], psql: Psql
) -> None:
    database = psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"]
    psql(
        empty_url,
        f"ALTER DATABASE {database} OWNER TO CURRENT_USER; CREATE EXTENSION vector;"
        f"CREATE SCHEMA spocdb AUTHORIZATION {plain_role}",
    ).check_returncode()
    url = make_conninfo(empty_url, user=plain_role)
    schema.upgrade(url)
    with Database(from_environment(url, environment)) as db:
        assert db.collections() == []


def test_a_role_that_may_not_create_the_extension_is_told_what_to_ask_for(
    empty_url: str, plain_role: str, dump: Dump
) -> None:
    before = dump(empty_url)
    with pytest.raises(DatabaseError, match="ask a superuser to run `CREATE EXTENSION vector`"):
        schema.upgrade(make_conninfo(empty_url, user=plain_role))
    assert dump(empty_url) == before


def test_a_role_that_may_create_nothing_is_told_so(
    empty_url: str, plain_role: str, psql: Psql, dump: Dump
) -> None:
    database = psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"]
    psql(
        empty_url, f"ALTER DATABASE {database} OWNER TO CURRENT_USER; CREATE EXTENSION vector"
    ).check_returncode()
    before = dump(empty_url)
    said = r"^the migration failed: permission denied for .+: use the role that owns spocdb, or one"
    with pytest.raises(DatabaseError, match=said):
        schema.upgrade(make_conninfo(empty_url, user=plain_role))
    assert dump(empty_url) == before


def test_a_view_that_calls_a_function_with_other_arguments_is_named(url: str, psql: Psql) -> None:
    schema.downgrade(url, "0.1.0")
    view = "CREATE VIEW public.like_one AS SELECT * FROM spocdb.similar('photos', 1, 3)"
    psql(url, view).check_returncode()
    with pytest.raises(DatabaseError) as caught:
        schema.upgrade(url)
    said = str(caught.value)
    assert said.startswith("the migration failed: view like_one depends on function ")
    assert said.endswith(
        "(text,bigint,integer,jsonb,boolean): drop it, migrate, then create it again"
    )
    psql(url, "DROP VIEW public.like_one").check_returncode()
    schema.upgrade(url)
    psql(url, view).check_returncode()


@pytest.mark.slow
def test_two_programs_may_migrate_at_once(
    empty_url: str, environment: dict[str, str], url: str, dump: Dump
) -> None:
    program = Path(sys.executable).with_name("spocdb")
    command: list[Any] = [program, "db", "init", "--db", empty_url]
    runs = [
        subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for run in runs:
        assert (run.communicate(timeout=60)[1], run.returncode) == ("", 0)
    assert dump(empty_url) == dump(url)


def test_an_unknown_revision_is_an_error_and_no_silent_migration(
    url: str, environment: dict[str, str], dump: Dump
) -> None:
    with connections.connect(url) as connection:
        connection.execute("UPDATE spocdb.alembic_version SET version_num = '9999'")
    before = dump(url)
    message = r"is at 9999, newer than this program \(.+\): upgrade spocdb"
    with pytest.raises(SchemaOutOfDate, match=message):
        Database(from_environment(url, environment))
    assert dump(url) == before


def test_a_foreign_database_without_the_schema_is_an_error(
    empty_url: str, environment: dict[str, str], dump: Dump
) -> None:
    before = dump(empty_url)
    with pytest.raises(SchemaOutOfDate, match=r"no schema spocdb yet: run `spocdb.db.schema.init"):
        Database(from_environment(empty_url, environment))
    assert dump(empty_url) == before


def test_init_and_current_on_the_command_line(empty_url: str, spocdb: Psql) -> None:
    assert spocdb("db", "current", "--db", empty_url).stdout == f"none (newest: {schema.HEAD})\n"
    ran = spocdb("db", "init", "--db", empty_url)
    assert (ran.returncode, ran.stdout) == (0, f"schema spocdb at {schema.HEAD}\n"), ran.stderr
    shown = spocdb("db", "current", "--db", empty_url).stdout
    assert shown == f"{schema.HEAD} (newest: {schema.HEAD})\n"


def test_a_dump_can_be_restored(
    url: str, empty_url: str, environment: dict[str, str], psql: Psql, dump: Dump
) -> None:
    use(url, environment)
    psql(empty_url, dump(url)).check_returncode()
    assert dump(empty_url) == dump(url)
    with (
        Database(from_environment(url, environment)) as original,
        Database(from_environment(empty_url, environment)) as restored,
    ):
        assert restored.similar(7, 5) == original.similar(7, 5)
        assert restored.similar(7, 5)[0].method == "hnsw"


def test_the_sql_for_a_dba_may_begin_where_the_schema_is(
    url: str,
    make_database: Callable[[str], str],
    template: str,
    spocdb: Psql,
    psql: Psql,
    dump: Dump,
) -> None:
    schema.downgrade(url, "0.1.0")
    shown = spocdb("db", "upgrade", "--sql", "--from", "0.1.0")
    assert shown.returncode == 0, shown.stderr
    assert "CREATE TABLE spocdb.images" not in shown.stdout
    ran = psql(url, shown.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    upgraded = dump(url)
    schema.upgrade(url)
    assert dump(url) == upgraded
    for revision in ("0815", "0001", "0.1"):
        wrong = spocdb("db", "upgrade", "--sql", "--from", revision)
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert wrong.stderr == f"spocdb: no revision '{revision}': see `spocdb db current`\n"
