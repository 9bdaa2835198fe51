"""Freeze a release: `python -m tests.migration.release 0.2.0`, or `make snapshot VERSION=0.2.0`.

It copies the SQL functions, adds the release's revision, dumps a database that the program filled,
and writes the hash of every file that must never change again.
"""

import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tests.migration.filling import dump_filled

ROOT = Path(__file__).parents[2]
MIGRATIONS = ROOT / "migrations"
RELEASES = MIGRATIONS / "sql" / "releases"
FROZEN = RELEASES / "frozen.txt"
DATA = Path(__file__).parent / "releases"

REVISION = '''"""Release {release}.

Revision ID: {release}
Revises: {before}
"""

from spocdb.db.migration import run_functions

revision = "{release}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_functions("releases/{release}/functions")


def downgrade() -> None:
    run_functions("releases/{release}/functions")
'''


def add_revision(release: str, root: Path = ROOT) -> None:
    """Copy the functions, and add the release's revision after the newest one."""
    schema = root / "spocdb" / "db" / "schema.py"
    text = schema.read_text()
    listed = re.search(r"^REVISIONS = \((.*?)\)$", text, re.MULTILINE | re.DOTALL)
    assert listed is not None, f"{schema} lists the revisions"
    revisions = re.findall(r'"([^"]+)"', listed[1])
    migrations = root / "migrations"
    shutil.copytree(
        migrations / "sql" / "functions",
        migrations / "sql" / "releases" / release / "functions",
    )
    name = f"{len(revisions) + 1:04}_release_{release.replace('.', '_')}.py"
    revision = REVISION.format(release=release, before=revisions[-1])
    (migrations / "versions" / name).write_text(revision)
    entries = "".join(f'    "{name}",\n' for name in (*revisions, release))
    schema.write_text(text.replace(listed[0], f"REVISIONS = (\n{entries})"))


def files() -> list[Path]:
    """Return every file that belongs to a release, as if all present files were released."""
    found = [*RELEASES.rglob("*.sql"), *(MIGRATIONS / "sql" / "tables").glob("*.sql")]
    found += [*(MIGRATIONS / "versions").glob("[0-9]*.py"), *DATA.glob("*.sql")]
    return sorted(found)


def frozen() -> dict[str, str]:
    """Return the hash of every released file by its path below the repository's root."""
    lines = FROZEN.read_text().splitlines()
    return {path: sha256 for sha256, path in (line.split("  ") for line in lines)}


def sha256_of(path: str) -> str:
    """Return the hash of a file by its path below the repository's root."""
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


def main(release: str) -> None:
    """Freeze a release. The hashes are written last, so that a failed run can be repeated."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", release):
        sys.exit(f"{release!r} is no release: name it like 0.2.0")
    known = frozen()
    if f"tests/migration/releases/{release}.sql" in known:
        sys.exit(f"{release} is a release already, and no released file changes")
    if not (RELEASES / release).exists():
        add_revision(release)
    with tempfile.TemporaryDirectory(prefix="spocdb-release-") as folder:
        (DATA / f"{release}.sql").write_text(dump_filled(Path(folder)))
    paths = [file.relative_to(ROOT).as_posix() for file in files()]
    with open(FROZEN, "a") as lines:
        lines.writelines(f"{sha256_of(path)}  {path}\n" for path in paths if path not in known)


if __name__ == "__main__":
    main(*sys.argv[1:])
