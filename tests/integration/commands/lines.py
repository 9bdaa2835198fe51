"""A command line for every command, derived from its parameters, so that new ones are covered."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from tests.fixtures.program import Finished

CLI = importlib.import_module("spocdb.cli")


EXIT_CODES = {0, 1, 2, 3, 130, 141}


# Commands that use no database, or never end.
WITHOUT_DATABASE = {"db start", "db stop"}


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    command = command or typer.main.get_command(CLI.app)
    inner = getattr(command, "commands", {})
    if not inner:
        yield " ".join(path), command
    for name, below in inner.items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands())


WITH_DATABASE = [name for name in COMMANDS if name not in WITHOUT_DATABASE]


BY_NAME = {
    "number": "1",
    "id": "1",
    "name": "photos",
    "key": "id",
    "image": "0000.jpg",
    "table": "public.products",
    "extractor": "mini",
    "teacher": "mini",
    "out": "out.safetensors",
    "kind": "fisher",
    "gt": "gt.pkl",
}


# Options that would take long, and options without which a command does nothing.
MORE = {
    "search": ["0000.jpg"],
    "worker": ["--once"],
    # It would serve until it is stopped.
    "serve": ["--collections", "none"],
    "bench": ["photos", "--extractor", "mini", "--seconds", "0.1"],
    "detach": ["--yes"],
    "collections drop": ["--yes"],
    "pca fit": ["--dim", "2"],
    "pca learn": ["--views", "1", "--dim", "2"],
    "db grant": ["--reader", "pg_monitor"],
    "train finetune": ["--epochs", "1"],
    "train distill": ["--epochs", "1"],
    "map": ["--method", "components"],
}


def words_for(name: str, folder: Path) -> list[str]:
    """Return a plausible command line for a command, from its parameters' names and types."""
    words = name.split()
    for parameter in COMMANDS[name].params:
        is_argument = parameter.param_type_name == "argument"
        if not (parameter.required or (is_argument and parameter.name == "paths")):
            continue
        value = BY_NAME.get(parameter.name)
        if value is None:
            value = _file(name) if parameter.name == "file" else "photos"
        if parameter.name in ("folder", "paths", "gallery", "images"):
            value = str(folder)
        words += [value] if is_argument else [parameter.opts[0], value]
    more = [str(folder / w) if w == "0000.jpg" else w for w in MORE.get(name, [])]
    return [*words, *(str(folder) if w == "photos" and name == "bench" else w for w in more)]


def _file(name: str) -> str:
    return "out.parquet" if name == "export" else "out.safetensors"


def assert_clean(result: Finished, name: str) -> None:
    """Check that a command ended as documented: no traceback, its error in a line of its own."""
    text = result.stdout + result.stderr
    assert "Traceback" not in text and "Exception ignored" not in text, f"{name}: {text}"
    assert result.returncode in EXIT_CODES, f"{name}: {result}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("spocdb: ")]
    has_findings = name == "db doctor" and result.stdout
    assert len(errors) == (result.returncode == 1 and not has_findings), f"{name}: {result}"
