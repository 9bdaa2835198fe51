"""Options that several commands share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from .output import talk

if TYPE_CHECKING:
    from spocdb.api import Database

Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="PostgreSQL to use; SPOCDB_DATABASE_URL, else a private embedded server.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go; change nothing.")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="Only images whose metadata say so, such as kind=shoe or 'year>=2023 and gps exists'; "
        "repeatable.",
    ),
]
Collection = Annotated[
    str | None,
    typer.Option("--collection", "-c", help="Collection; may be left out if there is only one."),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="State dict of the network; torchvision's by default."
    ),
]
Extractor = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        help="vgg19 (default), vgg16, squeezenet1_1, mini (comes with spocdb), mobilenet_v1, "
        "resnet50, resnet101, or one of `spocdb extractors`.",
    ),
]
Codebook = Annotated[
    Path | None,
    typer.Option(
        "--codebook", metavar="FILE", help="For pooling by fisher or triangulation vectors."
    ),
]
Size = Annotated[
    int | None, typer.Option("--size", help="Input size in pixels.", show_default="586")
]
Fit = Annotated[
    str | None,
    typer.Option(
        "--fit",
        help="warp to a square, keep the aspect with the longer side of the size, or "
        "pad to a square.",
        show_default="warp",
        metavar="warp|aspect|pad",
    ),
]
Relu = Annotated[
    bool | None,
    typer.Option(
        "--relu/--no-relu", help="Pool after or before the last ReLU.", show_default="after"
    ),
]
Pooling = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        metavar="sum|max|gem|rmac|fisher|triangulation",
        help="How the feature map is pooled.",
        show_default="sum",
    ),
]
Centering = Annotated[
    bool | None,
    typer.Option(
        "--centering/--no-centering",
        help="The centering prior, which weighs the centre more.",
        show_default="on",
    ),
]
Sigma = Annotated[
    float | None,
    typer.Option(
        "--sigma",
        help="The prior's sigma as a part of the distance from the centre to the nearest border.",
        show_default="1/3",
    ),
]
GemP = Annotated[float | None, typer.Option("--gem-p", help="GeM's exponent.", show_default="3")]
Attention = Annotated[
    str | None,
    typer.Option(
        "--attention",
        metavar="crow|norm",
        help="Weigh the positions by the feature map itself.",
        show_default="none",
    ),
]
Scales = Annotated[
    str | None,
    typer.Option(
        "--scales",
        metavar="1,S,...",
        help="Parts of the size at which the network sees each image; summed.",
        show_default="1",
    ),
]
Flip = Annotated[
    bool | None,
    typer.Option("--flip/--no-flip", help="Sum with the mirror image.", show_default="no"),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16",
        help="auto: bfloat16 where it is fast and the first image proves it exact.",
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
    """Open the database that --db, the environment or the default means.

    Inside, what the driver raises is a DatabaseError, also where a command reaches past the API.
    Who holds a lock that is waited for is said, and a server that does not answer is left.
    """
    from spocdb import connect
    from spocdb.db import engine

    with engine.wrapped(), connect(url) as database, database.looked_after(talk):
        yield database


def one_format(json: bool, as_csv: bool) -> None:
    """Raise BadParameter if two formats are asked for."""
    if json and as_csv:
        raise typer.BadParameter("JSON or CSV: give one of --json and --csv", param_hint="--csv")


def parse_numbers(text: str, option: str, kind: Callable[[str], Number]) -> list[Number]:
    """Parse numbers with commas between them, each once."""
    try:
        return list(dict.fromkeys(kind(part) for part in text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not N,N,...", param_hint=option) from None


def recipe(scales: str | None, **others: Any) -> dict[str, Any]:
    """Return a recipe's options as the library takes them, from those of a command."""
    return {**others, "scales": parse_numbers(scales, "--scales", float) if scales else None}


def parse_filter(texts: list[str]) -> "list[list[Any]]":
    """Parse the conditions of all --filter options, which must all hold."""
    from spocdb.errors import ConfigError
    from spocdb.filters import parse

    try:
        return [condition for text in texts for condition in parse(text)]
    except ConfigError as exc:
        raise typer.BadParameter(str(exc), param_hint="--filter") from None
