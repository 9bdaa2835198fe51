"""What every command has in common: -q, -v, and the refusal of URLs as paths.

Applied once to the finished tree of commands, so that a new command cannot miss it.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from . import output

QUIET = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print only errors on stderr.", callback=output.be_quiet),
]
VERBOSE = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Log what happens to stderr; twice: every SQL statement with its time.",
    ),
]
SHARED = (
    inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=QUIET),
    inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=VERBOSE),
)
# pathlib joins two slashes into one. The scheme has at least two letters, as C:/ is a drive.
URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE)


def share(app: typer.Typer) -> None:
    """Add the shared options and checks to every command of the application and its groups."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = _with_shared(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            share(group.typer_instance)


def _with_shared(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def command(*args: Any, quiet: bool = False, verbose: int = 0, **values: Any) -> Any:
        for name, value in values.items():
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, Path):
                    _refuse_url(name, path)
        from .logs import shown

        with shown(verbose):
            return function(*args, **values)

    signature = inspect.signature(function)
    extended: Any = command
    extended.__signature__ = signature.replace(parameters=_keywords(signature.parameters.values()))
    return command


def _keywords(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    # Typer passes every value by name, so the order matters only to the help.
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    return [*named, *SHARED]


def _refuse_url(name: str, path: Path) -> None:
    """Raise BadParameter for a URL in place of a path, unless there is such a file."""
    found = URL.fullmatch(str(path))
    if found is None or path.exists():
        return
    if found[1].lower() == "file":
        message = f"{found[1]}:///{found[2]} is a URL: give the path without file://"
    else:
        message = (
            f"{found[1]}://{found[2]} is a URL, and spocdb reads files: download it first; "
            "a table's column of URLs is attached by `spocdb attach TABLE --urls`"
        )
    raise typer.BadParameter(message, param_hint=name.upper())
