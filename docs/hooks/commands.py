"""Generate the reference of the command line: a hook of MkDocs.

`<!-- command: spocdb pca fit -->` on a page becomes that command's help, usage, arguments and
options, read from the Typer application. So what a page says of an option is what `--help` says.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import typer
from mkdocs.exceptions import PluginError

MARKER = re.compile(r"<!-- command: (spocdb .+?) -->")
# Every command has them; they are described once, on the first page of the reference.
SHARED = {"--help", "--quiet", "--verbose", "--db"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each marker of a page. MkDocs calls this for every page."""
    return MARKER.sub(lambda found: described(found[1]), markdown)


@cache
def commands() -> dict[str, Any]:
    """Return every command that does something, by its full name."""
    app = import_module("spocdb.cli").app
    return dict(_commands(typer.main.get_command(app), ("spocdb",)))


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", {})
    if not inner:
        yield " ".join(path), command
    for name, below in inner.items():
        yield from _commands(below, (*path, name))


def described(name: str) -> str:
    """Return a command's help, usage and parameters as Markdown.

    Raises:
        PluginError: There is no such command.
    """
    if (command := commands().get(name)) is None:
        raise PluginError(f"no command {name}")
    context = typer.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    rows = [
        f"| `{_names(record[0])}` | {_cell(record[1])} |"
        for parameter in command.get_params(context)
        if not SHARED.intersection(parameter.opts)
        and (record := parameter.get_help_record(context))
    ]
    table = "\n".join(["| parameter | meaning |", "|---|---|", *rows]) if rows else ""
    return f"{_cell(command.help)}\n\n```text\n{usage}\n```\n\n{table}\n"


def _names(text: str) -> str:
    """Return an argument without Python's type of it, which says nothing that its name does not."""
    return re.sub(r" <list\[.*\]>$", "", text)


def _cell(text: str) -> str:
    """Return a help text for a cell of a table."""
    text = " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")
    return re.sub(r"\[(default|required)", r"\\[\1", text)
