"""One database and several programs: an earlier one, a later one, one with other functions."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spocdb.db import connections, embedded, schema
from spocdb.errors import SchemaOutOfDate
from spocdb.settings import Settings, from_environment
from tests.fixtures.opened import Database

pytestmark = pytest.mark.slow

Dump = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from spocdb.cli import main; sys.argv[0] = 'spocdb'; main()"
DOWNGRADE = "import sys; from spocdb.db import schema; schema.downgrade(*sys.argv[1:])"

OUTDATED = (
    "the schema spocdb is at 0007, from before release 0.1.0, and cannot be upgraded: "
    "run `DROP SCHEMA spocdb CASCADE` in this database (`spocdb db url` gives the URL of an "
    "embedded one), then `spocdb db init`, and ingest or attach again"
)
OTHER_FUNCTIONS = (
    "the functions in the schema spocdb are not this program's: run `spocdb db upgrade`"
)
NEWER = (
    f"the schema spocdb is at 9999_colours, newer than this program ({schema.HEAD}): upgrade spocdb"
)

REVISION = f'''
from spocdb.db.migration import run_afterwards, run_sql

revision = "9999_colours"
down_revision = "{schema.HEAD}"


def upgrade() -> None:
    run_sql("tables/9999_colours")
    run_afterwards("tables/9999_colours_filled")


def downgrade() -> None:
    run_sql("tables/9999_colours_down")
'''
UP = """
CREATE TABLE spocdb.colours (image_id bigint PRIMARY KEY);
DROP FUNCTION spocdb.iterative_scan(boolean);
"""
FILLED = "INSERT INTO spocdb.colours SELECT spocdb.next_colour();"
DOWN = "DROP TABLE spocdb.colours;"
NEW_FUNCTION = """
CREATE OR REPLACE FUNCTION spocdb.next_colour() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = spocdb, pg_temp
AS $$ SELECT coalesce(max(c.image_id), 4710) + 1 FROM colours c $$;
COMMENT ON FUNCTION spocdb.next_colour() IS 'The colour that is free';
"""

# All objects of the schema with their xmin, which differs after an object is replaced.
OBJECTS = """
SELECT c.oid, c.xmin::text FROM pg_class c WHERE c.relnamespace = 'spocdb'::regnamespace
UNION ALL
SELECT p.oid, p.xmin::text FROM pg_proc p WHERE p.pronamespace = 'spocdb'::regnamespace
ORDER BY 1
"""


class Program:
    """A copy of the program, which a test changes into a later one."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.package, self.folder = folder / "spocdb", folder
        without = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / "spocdb", self.package, ignore=without)
        shutil.copytree(ROOT / "cli", self.package / "cli", ignore=without)
        shutil.copytree(ROOT / "migrations", self.package / "migrations", ignore=without)
        self.environment = environment | {"PYTHONPATH": str(folder)}

    def edit(self, function: str, before: str, after: str) -> None:
        """Change the text of a function."""
        file = self.package / "migrations" / "sql" / "functions" / f"{function}.sql"
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    def add_revision(self) -> None:
        """Add a table, a function and a revision; drop a function."""
        migrations = self.package / "migrations"
        (migrations / "versions" / "9999_colours.py").write_text(REVISION)
        tables, functions = (migrations / "sql" / name for name in ("tables", "functions"))
        tables.mkdir(exist_ok=True)
        (tables / "9999_colours.sql").write_text(UP)
        (tables / "9999_colours_filled.sql").write_text(FILLED)
        (tables / "9999_colours_down.sql").write_text(DOWN)
        (functions / "next_colour.sql").write_text(NEW_FUNCTION)
        (functions / "iterative_scan.sql").unlink()
        file = self.package / "db" / "schema.py"
        listed = f'{file.read_text()}\nREVISIONS += ("9999_colours",)\nHEAD = "9999_colours"\n'
        file.write_text(listed)

    def run(self, code: str, *arguments: str) -> str:
        """Run Python in this copy; return its stdout and stderr."""
        command = [sys.executable, "-c", code, *arguments]
        ran = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        return ran.stdout + ran.stderr


@pytest.fixture
def later(tmp_path: Path, environment: dict[str, str]) -> Program:
    """Return a copy of this program."""
    return Program(tmp_path / "later", environment)


def test_a_later_program_upgrades_and_goes_back(
    url: str, environment: dict[str, str], later: Program, dump: Dump, contents: Dump
) -> None:
    schema.downgrade(url, "0.1.0")
    released = contents(url)
    schema.upgrade(url)
    later.add_revision()
    later.edit("owner", "PARALLEL SAFE", "PARALLEL UNSAFE")
    needed = f"spocdb: the schema spocdb is at {schema.HEAD}, this program needs 9999_colours: "
    assert later.run(MAIN, "status", "--db", url) == needed + "run `spocdb db upgrade`\n"
    assert later.run(MAIN, "db", "upgrade", "--db", url) == "schema spocdb at 9999_colours\n"
    assert later.run(MAIN, "collections", "list", "--json", "--db", url) == "[]\n"
    upgraded = dump(url)
    assert "CREATE TABLE spocdb.colours" in upgraded
    assert "COPY spocdb.colours (image_id) FROM stdin;\n4711\n" in upgraded
    assert "CREATE FUNCTION spocdb.next_colour(" in upgraded
    assert "CREATE FUNCTION spocdb.iterative_scan" not in upgraded
    # This program is older than the database now.
    with pytest.raises(SchemaOutOfDate) as opened:
        Database(from_environment(url, environment))
    with pytest.raises(SchemaOutOfDate) as upgraded_again:
        schema.upgrade(url)
    assert str(opened.value) == str(upgraded_again.value) == NEWER
    assert dump(url) == upgraded
    assert later.run(DOWNGRADE, url, "0.1.0") == ""
    assert contents(url) == released


def test_the_sql_for_a_dba_makes_what_a_later_program_makes(
    url: str,
    make_database: Callable[[str], str],
    template: str,
    later: Program,
    psql: Run,
    dump: Dump,
) -> None:
    later.add_revision()
    shown = later.run(MAIN, "db", "upgrade", "--sql", "--from", schema.HEAD)
    ran = psql(url, shown)
    assert (ran.returncode, ran.stderr) == (0, "")
    other = make_database(template)
    later.run(MAIN, "db", "upgrade", "--db", other)
    assert dump(url) == dump(other)


def test_an_edited_function_needs_no_revision(
    url: str,
    environment: dict[str, str],
    later: Program,
    dump: Dump,
    spocdb: Run,
    in_commands: Callable[[str], str],
) -> None:
    before = dump(url)
    later.edit("owner", "The role that owns spocdb", "The role that everything belongs to")
    assert later.run(MAIN, "status", "--db", url) == f"spocdb: {OTHER_FUNCTIONS}\n"
    assert dump(url) == before
    later.run(MAIN, "db", "upgrade", "--db", url)
    assert "The role that everything belongs to" in dump(url)
    assert later.run(MAIN, "collections", "list", "--json", "--db", url) == "[]\n"
    with pytest.raises(SchemaOutOfDate) as caught:
        Database(from_environment(url, environment))
    assert in_commands(str(caught.value)) == OTHER_FUNCTIONS
    assert f"error    {OTHER_FUNCTIONS}" in spocdb("db", "doctor").stdout
    schema.upgrade(url)
    assert dump(url) == before


def test_whether_functions_are_current_is_asked_without_alembic(url: str) -> None:
    code = (
        "import sys; from spocdb.db import connections, schema\n"
        "with connections.connect(sys.argv[1]) as connection: schema.check(connection)\n"
        "print({'alembic', 'sqlalchemy'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"


@pytest.fixture
def own_settings(environment: dict[str, str]) -> Iterator[Settings]:
    """Return the settings of an embedded server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="spocdb-others-") as folder:
        yield from_environment(None, environment | {"SPOCDB_DATA_DIR": folder})
        embedded.stop(Path(folder))


def test_the_embedded_database_is_upgraded_or_refused_whole(
    own_settings: Settings, in_commands: Callable[[str], str]
) -> None:
    url = embedded.start(own_settings.data_dir)
    with Database(own_settings) as db:
        db.connection.execute("COMMENT ON TABLE spocdb.alembic_version IS 'others'")
        db.connection.execute("COMMENT ON FUNCTION spocdb.owner() IS 'another'")
    with Database(own_settings) as db:
        found = db.connection.execute("SELECT obj_description('spocdb.owner'::regproc, 'pg_proc')")
        assert found.fetchone() != ("another",)
        db.connection.execute("UPDATE spocdb.alembic_version SET version_num = '9999_colours'")
    with pytest.raises(SchemaOutOfDate) as caught:
        Database(own_settings)
    assert str(caught.value) == NEWER
    with connections.connect(url) as connection:
        connection.execute("UPDATE spocdb.alembic_version SET version_num = '0007'")
        before = connection.execute(OBJECTS).fetchall()
    with pytest.raises(SchemaOutOfDate) as caught:
        Database(own_settings)
    assert in_commands(str(caught.value)) == OUTDATED
    with connections.connect(url) as connection:
        assert connection.execute(OBJECTS).fetchall() == before
        connection.execute("DROP SCHEMA spocdb CASCADE")
    with Database(own_settings) as db:
        assert db.collections() == []


def test_a_database_of_an_earlier_checkout_is_told_in_one_line_what_to_do(
    stocked: Any, environment: dict[str, str], spocdb: Run, dump: Dump
) -> None:
    url = stocked.db.url
    stocked.execute("UPDATE spocdb.alembic_version SET version_num = '0007'")
    stocked.execute("COMMENT ON TABLE spocdb.alembic_version IS NULL")
    before = dump(url)
    for command in (["status"], ["db", "upgrade"], ["db", "init"]):
        ran = spocdb(*command)
        assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"spocdb: {OUTDATED}\n")
    assert f"error    {OUTDATED}" in spocdb("db", "doctor").stdout
    assert dump(url) == before
    # The advice in the message works. The attached table loses only its triggers.
    stocked.execute("DROP SCHEMA spocdb CASCADE")
    stocked.execute("UPDATE products SET name = 'boot'")
    assert spocdb("db", "init").stdout == f"schema spocdb at {schema.HEAD}\n"
    stocked.attach()
    assert stocked.work().n_new == 6
