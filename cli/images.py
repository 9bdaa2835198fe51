"""spocdb images: what a collection holds."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .output import (
    confirm,
    counted,
    moment,
    print_csv,
    print_fields,
    print_json,
    print_json_list,
    print_pages,
    shown_metadata,
    talk,
)
from .running import interruptible
from .translation import in_commands

if TYPE_CHECKING:
    from spocdb.db.listing import StoredImage

app = typer.Typer(
    help="Images: list, show, delete, move.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(
    collection: options.Collection = None,
    filter: options.Filter = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, max=2**31 - 1, help="The maximum number of images."),
    ] = None,
    json: options.Json = False,
    as_csv: options.Csv = False,
    db: options.Db = None,
) -> None:
    """List the images of a collection, by path or key."""
    wanted = options.parse_filter(filter or [])
    options.one_format(json, as_csv)
    with options.open_all(db) as database:
        found = database.images(wanted, collection=collection, limit=limit, embeddings=False)
        if json:
            print_json_list(map(_fields, found))
        elif as_csv:
            _print_csv(found, options.named_by(database, collection))
        else:
            _print_table(found, options.named_by(database, collection))


@app.command()
def show(
    id: Annotated[int, typer.Argument(max=2**63 - 1, help="The image's id.")],
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Show all that is known about an image."""
    with options.open_all(db) as database:
        found = database.image(id)
    if json:
        print_json(found)
        return
    fields = asdict(found)
    name = "path" if found.table is None else "key"
    projections = [f"{n}{'*' if n == found.active else ''}" for n in found.projections]
    print_fields(
        {
            "id": found.id,
            "collection": found.collection,
            name: found.path,
            "table": found.table,
            "size": f"{found.size:,} bytes, {found.width} x {found.height} pixels",
            "modified": found.modified,
            "ingested": found.ingested_at,
            "sha256": found.sha256,
            "described by": ", ".join(found.descriptors),
            "embedded by": ", ".join(projections),
            "thumbnail": "stored" if found.has_thumbnail else "made on demand",
            "copies": found.copies,
            "failure": found.failure and in_commands(found.failure),
            **{f"metadata {key}": value for key, value in fields["metadata"].items()},
        }
    )


@app.command()
def delete(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID", help="These images.")] = None,
    collection: options.Collection = None,
    filter: options.Filter = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    db: options.Db = None,
) -> None:
    """Delete images with their embeddings, by id or by filter. Files and descriptors stay."""
    from .logs import only

    wanted = options.parse_filter(filter or [])
    if bool(ids) == bool(wanted):
        raise typer.BadParameter("give either ids or a --filter", param_hint="ID")
    with options.open_all(db) as database:
        run = partial(database.delete, *(ids or ()), filter=wanted, collection=collection)
        n_images, name = run(dry_run=True), database.collection(collection)
        if dry_run or not n_images:
            print(f"{counted(n_images, 'image')} would be deleted" if n_images else "nothing to do")
            return
        confirm(f"Delete {counted(n_images, 'image')} of {name}? Files stay.", yes)
        # Warnings about the filter were already logged by the dry run.
        with (
            only(),
            interruptible("what was deleted stays deleted; run the same command to continue"),
        ):
            n_deleted = run()
        print(f"deleted {counted(n_deleted, 'image')}")


@app.command()
def move(
    # Not Path, which would take "", of a variable of a shell that is unset, for the current folder.
    old: Annotated[str, typer.Argument(help="The stored path of the file or folder.")],
    new: Annotated[str, typer.Argument(help="Where it is now.")],
    collection: options.Collection = None,
    dry_run: options.DryRun = False,
    db: options.Db = None,
) -> None:
    """Change the stored path of a file, or of all files in a folder. Moves no file; ids stay."""
    with options.open_database(db) as database:
        n_moved = database.move(old, new, collection=collection, dry_run=dry_run)
    print(f"{counted(n_moved, 'image')} {'would be moved' if dry_run else 'moved'}")
    there = Path(new)
    if not there.exists():
        talk(f"there is nothing at {there} yet: move the files too")


def _fields(image: "StoredImage") -> dict[str, Any]:
    """Return all fields of an image but its embedding."""
    fields = asdict(image)
    del fields["embedding"]
    return fields


def _print_csv(found: "Iterator[StoredImage]", path: str) -> None:
    header = ["id", path, "width", "height", "size", "sha256", "metadata", "ingested_at"]
    fields = (
        _fields(image) | {"metadata": dumps(image.metadata, ensure_ascii=False)} for image in found
    )
    print_csv(header, (row.values() for row in fields))


def _print_table(found: "Iterator[StoredImage]", path: str) -> None:
    rows = (
        [
            image.id,
            image.path,
            f"{image.width} x {image.height}",
            moment(image.ingested_at),
            shown_metadata(image.metadata),
        ]
        for image in found
    )
    if not print_pages(["id", path, "pixels", "ingested", "metadata"], rows):
        talk("no images")
