"""spocdb attach, spocdb detach."""

import os
from typing import Annotated

import typer

from spocdb.recipe_options import RecipeOptions

from . import options, presets
from .output import confirm, counted, talk


@options.with_recipe()
def attach(
    *,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table, as SCHEMA.TABLE.")],
    key: Annotated[
        str, typer.Option("--key", help="Column that names a row: an integer, a uuid or text.")
    ],
    image: Annotated[
        str,
        typer.Option(
            "--image",
            help="Column with the image: a path, an object, a URL, or bytea.",
        ),
    ],
    root: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URI",
            help="The column holds paths below this folder, or objects below s3://BUCKET/PREFIX.",
        ),
    ] = None,
    urls: Annotated[bool, typer.Option("--urls", help="The column holds URLs.")] = False,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="URLs may lead to addresses that are not public."),
    ] = False,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", metavar="SQL", help="The rows to include: a condition on the table."
        ),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option("--metadata", metavar="COL,...", help="Columns to filter a search by."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="Collection.", show_default="as the table"),
    ] = None,
    extractor: presets.Extractor = None,
    weights: options.Weights = None,
    recipe: RecipeOptions,
    partitions: options.Partitions = None,
    device: options.Device = "auto",
    db: options.Db = None,
) -> None:
    """Make a collection of the rows of an application's table.

    Triggers queue every change, and `spocdb worker` embeds it. Attaching a table again replaces its
    options and queues all rows again.
    """
    from spocdb.db.attachments import Attachment
    from spocdb.sources.locations import is_here
    from spocdb.sources.names import is_uri

    columns = metadata.split(",") if metadata else []
    if root is not None and not is_uri(root):
        root = os.path.abspath(root)
    attachment = Attachment(table, key, image, root, urls, where, columns, allow_private)
    with options.open_database(db) as database:
        name = database.tables.attach(
            *(attachment, collection),
            extractor=extractor,
            weights=weights,
            device=device,
            partitions=partitions,
            **recipe,
        )
        (coverage,) = (c for c in database.tables.coverage(name) if c.active)
    print(name)
    if root is not None and not is_here(root):
        talk(f"there is no folder {root} on this machine; workers need it")
    waiting = counted(coverage.pending, "row")
    verb = "waits" if coverage.pending == 1 else "wait"
    talk(f"{waiting} of {coverage.relation} {verb}: run `spocdb worker`")


def detach(
    collection: Annotated[str, typer.Argument(help="The collection of the attached table.")],
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    db: options.Db = None,
) -> None:
    """Undo `spocdb attach`: drop triggers, collection and embeddings; the table stays."""
    with options.open_database(db) as database:
        (found,) = (c for c in database.tables.coverage(collection) if c.active)
        what = f"the embeddings of {counted(found.embedded, 'row')}"
        if dry_run:
            print(f"would detach {collection} from {found.relation} and drop {what}")
            return
        confirm(f"Detach {collection} and drop {what}?", yes)
        database.tables.detach(collection)
    print(f"detached {collection}")
