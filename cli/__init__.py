"""The command line: each command parses, calls one function of the library, and prints.

Exit codes: 0 success; 1 an error, printed as one line; 2 a usage error; 3 the ingest finished, but
images failed; 130 interrupted; 141 the reader of stdout closed it. Data goes to stdout, messages go
to stderr.
"""

import logging
import sys
import warnings
from functools import cache
from importlib import import_module
from typing import Any

import typer

from . import edge, shared, signals
from .output import be_quiet, complain

# In the order of the help: the module and the function of each command, or the app of a group.
# A module is imported when one of its commands runs or the help lists them all: together they take
# longer than a search.
COMMANDS = {
    "ingest": "ingest:ingest",
    "search": "search:search",
    "serve": "serve:serve",
    "images": "images:app",
    "map": "maps:map_",
    "export": "maps:export",
    "duplicates": "duplicates:app",
    "failures": "failures:failures",
    "attach": "attach:attach",
    "detach": "attach:detach",
    "worker": "worker:worker",
    "status": "worker:status",
    "retry": "worker:retry",
    "reembed": "reembed:reembed",
    "pca": "pca:app",
    "bench": "bench:bench",
    "eval": "evaluate:app",
    "train": "train:app",
    "codebook": "codebook:app",
    "quantize": "quantizing:quantize",
    "index": "index:app",
    "extractors": "collections:extractors",
    "collections": "collections:app",
    "db": "db:app",
}


@cache
def program(*names: str) -> typer.Typer:
    """Return the program with these commands; without names with all."""
    made = typer.Typer(
        cls=signals.Interruptible,
        help="Visual similarity search inside your own PostgreSQL.",
        epilog="Exit codes: 0 done, 1 error, 2 usage, 3 finished with failures, 130 interrupted.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        # Groups and commands inherit it.
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback(invoke_without_command=True)(version)
    for part in map(_part, names or COMMANDS):
        made.registered_commands += part.registered_commands
        made.registered_groups += part.registered_groups
    return made


@cache
def _part(name: str) -> typer.Typer:
    """Import one command or group; it gets what all commands have."""
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(import_module(f".{module}", __package__), attribute)
    part = typer.Typer()
    if isinstance(found, typer.Typer):
        part.add_typer(found, name=name)
    else:
        part.command(name)(found)
    shared.share(part)
    return part


def __getattr__(name: str) -> Any:
    """Return the whole program as `app`."""
    if name == "app":
        return program()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def version(
    context: typer.Context,
    show: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if show:
        from spocdb import __version__

        print(__version__)
        raise typer.Exit


@cache
def root(*names: str) -> Any:
    """Return the tree of these commands. Typer builds it from their signatures."""
    return typer.main.get_command(program(*names))


def main() -> None:
    """Run the command line of this process; turn a signal into an exit code."""
    # First, because the signals' pipe would otherwise get the descriptor of a closed stream.
    edge.open_streams()
    with signals.ending_soon():
        sys.exit(run())


def run() -> int:
    """Run the command line in `sys.argv`; turn an error into an exit code."""
    edge.hide_secrets(sys.argv[1:])
    # A user can do nothing about Pillow's warnings on a file's metadata. What it logs as an error
    # names no file; the failure that follows does. Without a handler Python would print both.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    be_quiet(False)
    if empty := edge.empty_one(sys.argv[1:]):
        complain(f"spocdb: {empty} is empty: give a value, or leave the option out")
        return edge.USAGE
    # Anything but the name of a command needs the tree of all: help, completion, a typing error.
    return edge.run(root(*[name for name in sys.argv[1:2] if name in COMMANDS]))
