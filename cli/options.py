"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Dim = Annotated[int, typer.Option("--dim", help="Dimensions of the embedding.")]


def open_database(url: str | None) -> "Database":
    """Open the database that --db, the environment or the default means."""
    from spocdb import connect

    return connect(url)


def parse_filter(pairs: list[str]) -> dict[str, Any]:
    """Parse key=value pairs; a value that is JSON is taken as such."""
    from spocdb.images.metadata import parse_value

    filter: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{pair!r} is not key=value", param_hint="--filter")
        if key in filter:
            raise typer.BadParameter(f"{key!r} is given twice", param_hint="--filter")
        filter[key] = parse_value(value)
    return filter
