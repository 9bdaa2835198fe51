"""Every command has help, which is printed quickly."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import typer

APP = import_module("spocdb.cli").app

ALL_HELP = """
import sys
from typer.main import get_command
from importlib import import_module

def show(command, path):
    try:
        command.main([*path, "--help"], prog_name="spocdb")
    except SystemExit as exit:
        assert exit.code == 0, path

def visit(command, path=()):
    show(root, path)
    for name, inner in getattr(command, "commands", {}).items():
        visit(inner, (*path, name))

root = get_command(import_module("spocdb.cli").app)
visit(root)
print(sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield (full name, command) of every command that does something."""
    command = command or typer.main.get_command(APP)
    inner = getattr(command, "commands", {})
    if not inner:
        yield " ".join(("spocdb", *path)), command
    for name, below in inner.items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands())


def test_no_command_is_missed() -> None:
    assert {"spocdb ingest", "spocdb pca import", "spocdb db doctor"} <= COMMANDS.keys()
    assert len(COMMANDS) >= 23


def test_help_loads_nothing_heavy() -> None:
    run = subprocess.run(
        [sys.executable, "-c", ALL_HELP], capture_output=True, text=True, check=True
    )
    assert run.stdout.count("Usage: spocdb") > len(COMMANDS)
    loaded = run.stderr
    assert "typer" in loaded
    heavy = ("torch", "torchvision", "numpy", "sqlalchemy", "psycopg", "alembic", "PIL")
    for name in (*heavy, "timm", "onnx", "onnxruntime"):
        assert f"'{name}'" not in loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_parameter_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        assert parameter.help, f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", ["ingest", "attach", "reembed", "eval holidays", "eval pairs"])
def test_every_option_of_a_recipe_is_one_of_the_command(name: str) -> None:
    recipe_options = import_module("spocdb.recipe_options").OPTIONS
    parameters = {p.name: p for p in COMMANDS[f"spocdb {name}"].params}
    assert recipe_options.keys() <= parameters.keys()
    for option in recipe_options.values():
        assert parameters[option.name].help == option.about.help
        assert not option.choices or parameters[option.name].metavar == "|".join(option.choices)


def test_every_backbone_is_named_in_the_help() -> None:
    names = import_module("spocdb.features.backbones").choices()
    (extractor,) = (p for p in COMMANDS["spocdb ingest"].params if p.name == "extractor")
    assert extractor.help and all(name in extractor.help for name in names)
