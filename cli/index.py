"""spocdb index."""

from typing import Annotated

import typer

from . import options
from .output import print_json, print_table, talk

app = typer.Typer(help="Indexes: build, measure.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def build(
    collection: options.Collection = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="hnsw-vector|hnsw-halfvec|hnsw-bit|diskann",
            help="What the index holds: all, half the precision, or the signs; or pgvectorscale's.",
            show_default="as it is",
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Tables for the embeddings; moves them.", show_default="as it is"
        ),
    ] = None,
    db: options.Db = None,
) -> None:
    """Rebuild the index of a collection and measure its recall; searches continue meanwhile."""
    with options.open_all(db) as database:
        recall = database.index.build(collection, kind, partitions)  # type: ignore[arg-type]
    if recall is None:
        talk("built; measuring recall needs at least two images")
    else:
        print(f"recall@10 {recall:.4f}")


@app.command()
def measure(
    collection: options.Collection = None,
    recall: Annotated[
        float | None,
        typer.Option(help="What searches of the collection shall have; at first 0.99."),
    ] = None,
    db: options.Db = None,
) -> None:
    """Measure recall by the width of a scan; searches are as wide as the wanted recall needs."""
    with options.open_all(db) as database:
        measured = database.index.measure(collection, recall)
    if measured is None:
        talk("measuring recall needs at least two images")
    else:
        print(f"recall@10 {measured:.4f}")


@app.command()
def status(
    collection: options.Collection = None, json: options.Json = False, db: options.Db = None
) -> None:
    """List the embedding tables with their indexes and measured recall."""
    with options.open_database(db) as database:
        rows = database.index.status(collection)
    if json:
        print_json(rows)
        return
    print_table(
        [
            "collection",
            "projection",
            "active",
            "rows (about)",
            "index",
            "kind",
            "tables",
            "MB",
            "recall@10",
            "ef_search",
        ],
        [
            [
                s.collection,
                s.projection,
                "yes" if s.active else "",
                s.n_rows,
                s.index or "none",
                s.kind or "not chosen",
                s.partitions,
                "" if s.bytes is None else f"{s.bytes / 1e6:.1f}",
                "" if s.recall is None else f"{s.recall:.4f}",
                "" if s.recall_settings is None else s.recall_settings.get("ef_search", ""),
            ]
            for s in rows
        ],
    )
