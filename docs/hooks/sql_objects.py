"""Generate the reference of SQL: a hook of MkDocs.

`<!-- functions: search similar -->` on a page becomes these functions' signatures and COMMENTs,
`<!-- functions: others -->` a table of all functions that no other marker of the page names, and
`<!-- relations -->` the tables and views. All are read from a database that is migrated for this,
on the embedded server.
"""

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

from spocdb.db import connections, embedded, schema

FUNCTIONS = re.compile(r"<!-- functions: (.+?) -->")
RELATIONS = "<!-- relations -->"
OTHERS = "others"
VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}

ALL_FUNCTIONS = """
    SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid), provolatile::text,
           obj_description(oid, 'pg_proc')
    FROM pg_proc WHERE pronamespace = 'spocdb'::regnamespace ORDER BY proname, 2
"""
ALL_RELATIONS = """
    SELECT relname, relkind = 'v', obj_description(oid, 'pg_class')
    FROM pg_class
    WHERE relnamespace = 'spocdb'::regnamespace AND relkind IN ('r', 'p', 'v')
      AND obj_description(oid, 'pg_class') IS NOT NULL
    ORDER BY relname
"""

Row = tuple[Any, ...]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each marker of a page. MkDocs calls this for every page."""
    named = {name for found in FUNCTIONS.finditer(markdown) for name in found[1].split()}
    markdown = FUNCTIONS.sub(lambda found: _functions(found[1].split(), named), markdown)
    return markdown.replace(RELATIONS, _relations()) if RELATIONS in markdown else markdown


@cache
def catalogue() -> tuple[list[Row], list[Row]]:
    """Return the functions, and the tables and views, of a freshly migrated database."""
    with tempfile.TemporaryDirectory(prefix="spocdb-docs-") as folder:
        try:
            url = embedded.start(Path(folder))
            schema.upgrade(url)
            with connections.connect(url) as connection:
                functions = connection.execute(ALL_FUNCTIONS).fetchall()
                return functions, connection.execute(ALL_RELATIONS).fetchall()
        finally:
            embedded.stop(Path(folder))


def _functions(names: list[str], named: set[str]) -> str:
    functions, _ = catalogue()
    if names == [OTHERS]:
        rest = [row for row in functions if row[0] not in named and row[2] != "trigger"]
        rows = dict.fromkeys(f"| `{name}` | {_text(comment)} |" for name, *_, comment in rest)
        return "\n".join(["| function | what it does |", "|---|---|", *rows])
    if unknown := set(names) - {row[0] for row in functions}:
        raise PluginError(f"no function {', '.join(sorted(unknown))} in schema spocdb")
    return "\n".join(_described([row for row in functions if row[0] == name]) for name in names)


def _described(overloads: list[Row]) -> str:
    """Return a function, and its variants for other types, as Markdown."""
    name, _, _, volatility, comment = overloads[0]
    signatures = "\n".join(
        f"spocdb.{name}({_listed(arguments)}) RETURNS {_result(result)}"
        for _, arguments, result, _, _ in overloads
    )
    says = f"{_text(comment)}. *{VOLATILITY[volatility].capitalize()}.*"
    return f"### spocdb.{name}\n\n```sql\n{signatures}\n```\n\n{says}\n"


def _listed(parts: str) -> str:
    """Return arguments or columns, one a line if there are several."""
    return "\n    " + parts.replace(", ", ",\n    ") + "\n" if ", " in parts else parts


def _result(type_: str) -> str:
    return re.sub(r"TABLE\((.*)\)", lambda table: f"TABLE({_listed(table[1])})", type_)


def _relations() -> str:
    _, relations = catalogue()
    rows = (
        f"| `spocdb.{name}` | {'view' if is_view else 'table'} | {_text(comment)} |"
        for name, is_view, comment in relations
    )
    return "\n".join(["| name | kind | a row is |", "|---|---|---|", *rows])


def _text(comment: str) -> str:
    """Return a comment with nothing in it that Markdown would take for its own."""
    return re.sub(r"([|*_\[\]`\\])", r"\\\1", comment).replace("<", "&lt;")
