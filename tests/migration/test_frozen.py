"""A released .sql file never changes; the migrations know their newest."""

import hashlib
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from spocdb.db import schema

ROOT = Path(__file__).parents[2]
SQL = ROOT / "migrations" / "sql"


def test_no_sql_file_changed_since_it_was_frozen() -> None:
    files = sorted(file.relative_to(SQL).as_posix() for file in SQL.rglob("*.sql"))
    lines = [f"{hashlib.sha256((SQL / f).read_bytes()).hexdigest()}  {f}\n" for f in files]
    assert (SQL / "frozen.txt").read_text() == "".join(lines), (
        "released SQL is immutable: write a NAME_v2.sql and a migration. Only what is not released "
        "yet may be frozen anew: (cd migrations/sql && sha256sum */*.sql > frozen.txt)"
    )


def test_the_program_knows_the_newest_migration() -> None:
    scripts = ScriptDirectory.from_config(Config(toml_file=ROOT / "pyproject.toml"))
    assert scripts.get_heads() == [schema.HEAD]


def test_every_sql_file_is_run_by_a_migration() -> None:
    versions = "".join(f.read_text() for f in (ROOT / "migrations" / "versions").glob("*.py"))
    assert not [file.stem for file in SQL.rglob("*.sql") if f'{file.stem}"' not in versions]
