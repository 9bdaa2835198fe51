"""Options that several commands share."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from spocdb.recipe_options import OPTIONS, Option

if TYPE_CHECKING:
    from spocdb.api import Database
    from spocdb.api.shards import Shards


Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="PostgreSQL to use; SPOCDB_DATABASE_URL, else a private embedded server. "
        "shards:FILE names several.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would go; change nothing.")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="Only images whose metadata match, such as kind=shoe or 'year>=2023 and gps exists'; "
        "repeatable.",
    ),
]
Collection = Annotated[
    str | None,
    typer.Option("--collection", "-c", help="Collection; without it the only one, or else photos."),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="Weights of the network; its own by default."),
]
Codebook = Annotated[
    Path | None,
    typer.Option(
        "--codebook", metavar="FILE", help="For pooling by fisher or triangulation vectors."
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16",
        help="auto: bfloat16 where it is fast and the first image proves it exact.",
    ),
]
Thumbnails = Annotated[
    bool,
    typer.Option(
        "--thumbnails/--no-thumbnails", help="Store thumbnails of the images that are decoded."
    ),
]
Partitions = Annotated[
    int | None,
    typer.Option(
        "--partitions",
        min=1,
        max=256,
        help="Tables for a new collection's embeddings.",
        show_default="1",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw loss and mAP by epoch.")
]
Dim = Annotated[int, typer.Option("--dim", help="Dimensions of the embedding.")]


Number = TypeVar("Number", int, float)


@contextmanager
def open_database(url: str | None) -> "Iterator[Database]":
    """Open the database of --db, the environment or the default.

    The holder of a lock that a statement waits for is logged; a server that does not answer is
    abandoned.
    """
    from spocdb.api import connect

    with connect(url) as database, database.engine.looked_after():
        yield database


@contextmanager
def open_all(url: str | None) -> "Iterator[Database | Shards]":
    """Open what --db or the environment names: a database, or several servers by `shards:FILE`.

    Commands that work on one server only use `open_database`, which refuses several.
    """
    from spocdb.api.connecting import connect_shards, names_shards

    if names_shards(url):
        with connect_shards(*([url] if url else [])) as shards, shards.looked_after():
            yield shards
    else:
        with open_database(url) as database:
            yield database


def named_by(database: "Database | Shards", collection: str | None) -> str:
    """Return what an image of a collection is called by: its path, or the key of its row."""
    from spocdb.api import Database

    # A table is attached in one database.
    return database.tables.names_by(collection) if isinstance(database, Database) else "path"


def one_format(json: bool, as_csv: bool) -> None:
    """Raise BadParameter if both formats are given."""
    if json and as_csv:
        raise typer.BadParameter("JSON or CSV: give one of --json and --csv", param_hint="--csv")


def parse_numbers(text: str, option: str, kind: Callable[[str], Number]) -> list[Number]:
    """Parse comma-separated numbers; drop duplicates."""
    try:
        return list(dict.fromkeys(kind(part) for part in text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not N,N,...", param_hint=option) from None


def with_recipe(*chosen: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a command's parameter `recipe` with the options of a recipe, or the chosen ones.

    The command receives the given values as the mapping `recipe`.
    """
    names = chosen or tuple(OPTIONS)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**values: Any) -> Any:
            given = {name: _read(OPTIONS[name], values.pop(name)) for name in names}
            return command(recipe=given, **values)

        signature = inspect.signature(command)
        spliced = [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for told in signature.parameters.values()
            for parameter in (_parameters(names) if told.name == "recipe" else [told])
        ]
        run.__signature__ = signature.replace(parameters=spliced)  # type: ignore[attr-defined]
        return run

    return decorate


def _parameters(names: tuple[str, ...]) -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(name, keyword, default=None, annotation=_annotation(OPTIONS[name]))
        for name in names
    ]


def _annotation(option: Option) -> Any:
    """Return the annotation for Typer; words and lists of numbers are texts there."""
    flag = "--" + option.name.replace("_", "-")
    shown = typer.Option(
        f"{flag}/--no-{flag[2:]}" if option.kind is bool else flag,
        help=option.about.help,
        show_default=option.about.default,
        metavar=option.about.form or "|".join(option.choices) or None,
    )
    kind = option.kind if option.kind in (bool, int, float) else str
    return Annotated[kind | None, shown]


def _read(option: Option, given: Any) -> Any:
    if option.kind is not tuple or given is None:
        return given
    try:
        return option.parse(given)
    except ValueError:
        hint = f"--{option.name}"
        raise typer.BadParameter(f"{given!r} is not {option.about.form}", param_hint=hint) from None


def parse_filter(texts: list[str]) -> "list[list[Any]]":
    """Parse the conditions of all --filter options, which must all hold."""
    from spocdb.errors import ConfigError
    from spocdb.filters import parse

    try:
        return [condition for text in texts for condition in parse(text)]
    except ConfigError as exc:
        raise typer.BadParameter(str(exc), param_hint="--filter") from None
