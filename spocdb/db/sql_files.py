"""The SQL files of migrations/sql: their text, and the fingerprint of a folder of functions.

A database keeps the fingerprint of its functions as the comment of its table `alembic_version`, so
that a program can tell whether they are its own.
"""

import hashlib
import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

# The program's own functions, edited in place.
FUNCTIONS = "functions"
# Every function file comments each of its functions, by the types of its arguments.
SIGNATURE = re.compile(r"^COMMENT ON FUNCTION (spocdb\.\w+\([^)]*\)) IS", re.MULTILINE)


def sql_text(name: str) -> str:
    """Return the text of migrations/sql/`name`.sql."""
    return (_root() / f"{name}.sql").read_text(encoding="utf-8")


def function_files(folder: str = FUNCTIONS) -> list[str]:
    """Return the names, for `sql_text`, of the files in a folder of functions, sorted."""
    found = (_root() / folder).iterdir()
    return sorted(f"{folder}/{file.name.removesuffix('.sql')}" for file in found)


def signatures(folder: str = FUNCTIONS) -> list[str]:
    """Return the functions of a folder, as `spocdb.name(types)`, sorted."""
    texts = map(sql_text, function_files(folder))
    return sorted(signature for text in texts for signature in SIGNATURE.findall(text))


@cache
def fingerprint(folder: str = FUNCTIONS) -> str:
    """Return the fingerprint that a database with the functions of a folder stores.

    The algorithm must not change: after a downgrade the older program compares the stored
    fingerprint with its own.
    """
    digest = hashlib.sha256()
    for name in function_files(folder):
        stem = name.rpartition("/")[2]
        digest.update(f"{stem}\0{sql_text(name)}\0".encode())
    return f"functions sha256:{digest.hexdigest()}"


def is_release(revision: str) -> bool:
    """Tell whether a revision is a release, whose functions are kept."""
    return (_root() / "releases" / revision).is_dir()


def _root() -> Traversable:
    return files("spocdb.migrations") / "sql"
