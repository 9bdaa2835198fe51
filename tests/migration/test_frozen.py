"""A released file never changes; the program knows its revisions; a release is one command."""

import re
import shutil
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import spocdb
from spocdb.db import schema, sql_files
from tests.migration.release import DATA, RELEASES, ROOT, add_revision, frozen, main, sha256_of

MIGRATIONS = ROOT / "migrations"


def revisions(root: Path) -> list[str]:
    """Return the revisions of a checkout in Alembic's order."""
    config = Config()
    config.set_main_option("script_location", str(root / "migrations"))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    return [script.revision for script in scripts][::-1]


def test_no_file_changed_since_its_release() -> None:
    changed = [path for path, sha256 in frozen().items() if sha256_of(path) != sha256]
    assert not changed, "a released file never changes: see migrations/README.md"


def test_every_file_of_a_release_is_frozen() -> None:
    released = [name for name in schema.REVISIONS if sql_files.is_release(name)]
    assert sorted(folder.name for folder in RELEASES.iterdir() if folder.is_dir()) == released
    assert sorted(file.stem for file in DATA.iterdir()) == released
    last = schema.REVISIONS.index(released[-1]) + 1
    versions = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))[:last]
    tables = [
        MIGRATIONS / "sql" / f"{name}.sql"
        for version in versions
        for name in re.findall(r'\("(tables/\w+)"\)', version.read_text())
    ]
    files = [*RELEASES.rglob("*.sql"), *DATA.iterdir(), *versions, *tables]
    assert sorted(frozen()) == sorted(file.relative_to(ROOT).as_posix() for file in files)


def test_the_program_knows_the_revisions_in_order() -> None:
    assert revisions(ROOT) == list(schema.REVISIONS)
    assert not set(schema.REVISIONS) & set(schema.UNRELEASED)


def test_a_released_program_has_the_functions_of_its_release() -> None:
    if spocdb.__version__ in schema.REVISIONS:
        folder = f"releases/{spocdb.__version__}/functions"
        assert sql_files.fingerprint(folder) == sql_files.fingerprint()
    else:
        assert spocdb.__version__.endswith(".dev0")


def test_every_file_of_tables_is_run_by_a_revision() -> None:
    versions = "".join(f.read_text() for f in (MIGRATIONS / "versions").glob("*.py"))
    files = (MIGRATIONS / "sql" / "tables").glob("*.sql")
    assert not [file.stem for file in files if f'"tables/{file.stem}"' not in versions]


def texts(folder: Path) -> dict[str, str]:
    """Return the text of each file of a folder by its name."""
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the folders that a release changes."""
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "spocdb" / "db").mkdir(parents=True)
    shutil.copy(ROOT / "spocdb" / "db" / "schema.py", tmp_path / "spocdb" / "db")
    return tmp_path


def test_a_release_keeps_the_functions_and_is_a_revision(checkout: Path) -> None:
    add_revision("99.1.0", checkout)
    add_revision("99.2.0", checkout)
    assert revisions(checkout) == [*schema.REVISIONS, "99.1.0", "99.2.0"]
    text = (checkout / "spocdb" / "db" / "schema.py").read_text()
    assert '    "99.1.0",\n    "99.2.0",\n)\n' in text
    sql = checkout / "migrations" / "sql"
    assert texts(sql / "releases" / "99.1.0" / "functions") == texts(sql / "functions")


def test_a_release_is_made_once() -> None:
    before = frozen()
    with pytest.raises(SystemExit, match=r"^0\.1\.0 is a release already"):
        main("0.1.0")
    assert frozen() == before
