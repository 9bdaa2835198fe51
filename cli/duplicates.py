"""spocdb duplicates: find copies of pictures, look at them, decide about them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .calibrating import calibrate
from .output import (
    counted,
    print_csv,
    print_json,
    print_json_list,
    print_pages,
    print_table,
    shown_value,
    talk,
)
from .running import interruptible

if TYPE_CHECKING:
    from spocdb.db.duplicate_decisions import Verdict
    from spocdb.db.duplicate_groups import DuplicateImage, DuplicateSummary

app = typer.Typer(
    no_args_is_help=True, help="Copies of pictures: find them, look at them, decide about them."
)
app.command()(calibrate)

Collection = Annotated[
    str | None, typer.Argument(help="The collection; without it the only one, or else photos.")
]
Image = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="A picture, by its id.")]
# Images between two lines of progress.
STEP = 10_000
VERDICTS: "dict[str, Verdict | None]" = {
    "same": "same",
    "different": "different",
    "keep-both": "keep both",
    "undecided": None,
}
HEADER = ["distance", "id", "path", "level", "width", "height", "bytes"]


@app.command()
def find(
    collection: Collection = None,
    distance: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Pictures up to this distance from each other are duplicates, 0 to 2. Without it "
            "only the same bytes are, or what was asked for the last time.",
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            metavar="bytes|picture|scene",
            help="Instead of a distance, as `spocdb duplicates calibrate` measured it: the same "
            "file; the same picture, changed a little; the same scene.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Which picture of a group comes first: pixels, bytes, oldest, newest, "
            "folder:PATH, suffix:png, key:NAME, separated by commas.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Compare everything again, by the same rule too.")
    ] = False,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Find duplicates, or those of what is new since the last time.

    From then on ingests and workers find the duplicates of what they add.
    """
    with (
        options.open_database(db) as database,
        interruptible("what was compared is stored; run it again to go on"),
    ):
        found = database.duplicates.find(
            collection,
            distance=distance,
            level=level,  # type: ignore[arg-type]  # the library checks it
            keep=keep,
            again=again,
            on_done=partial(_show, "compared"),
            on_grouped=partial(_show, "grouped"),
        )
    if json:
        print_json(found)
    else:
        _tell(found)


def _tell(found: "DuplicateSummary") -> None:
    print(
        f"{found.collection}: {counted(found.n_groups, 'group')} of "
        f"{counted(found.n_images, 'image')}; {counted(found.n_extra, 'image')} beside the "
        f"keepers, {found.extra_bytes / 1e6:,.1f} MB"
    )
    talk(f"{_asked(found)}; kept first: {found.keep}")
    if found.distance is None:
        talk("`spocdb duplicates calibrate` measures how near changed pictures are")


def _asked(found: "DuplicateSummary") -> str:
    if found.distance is None:
        return "the same bytes"
    if found.level:
        return f"the same {found.level}, up to a distance of {found.distance:g}"
    return f"up to a distance of {found.distance:g}"


def _show(what: str, done: int, due: int) -> None:
    """Tell now and then how far it is; a line each, also where stderr is no terminal."""
    if done == due or (done // STEP > (done - 1) // STEP and due > STEP):
        talk(f"{what} {done:,} of {counted(due, 'image')}")


@app.command("list")
def list_(
    collection: Collection = None,
    json: options.Json = False,
    as_csv: options.Csv = False,
    db: options.Db = None,
) -> None:
    """List the groups: the keeper, how many duplicates it has, and the farthest one's distance."""
    options.one_format(json, as_csv)
    with options.open_database(db) as database:
        groups = database.duplicates.groups(collection)
        if json:
            print_json_list(groups)
            return
        rows = (
            [
                *(group.keeper.id, group.keeper.path, group.n_others),
                *(", ".join(_levels(group.others)), group.others[-1].distance),
            ]
            for group in groups
        )
        header = ["keeper", "path", "duplicates", "levels", "farthest"]
        if as_csv:
            print_csv(header, rows)
        elif not print_pages(header, ([*row[:-1], f"{row[-1]:.4f}"] for row in rows)):
            talk("no duplicates")


def _levels(images: "list[DuplicateImage]") -> list[str]:
    """Return the levels of images, each once, nearest first."""
    return [*dict.fromkeys(image.level for image in images if image.level)]


@app.command()
def show(
    id: Image,
    collection: options.Collection = None,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Show the group that a picture is in, the keeper first."""
    with options.open_database(db) as database:
        group = database.duplicates.group(id, collection=collection)
    if json:
        print_json(group)
    elif group is None:
        talk(
            f"image {id} is in no group; it may be near to images that are in a group of another "
            "keeper: `SELECT * FROM spocdb.near_duplicates(COLLECTION, ID)` lists them"
        )
    else:
        print_table(HEADER, [_row(image) for image in (group.keeper, *group.others)])


def _row(image: "DuplicateImage") -> list[object]:
    return [
        *(f"{image.distance:.4f}", image.id, image.path, image.level or ""),
        *(image.width, image.height, image.size),
    ]


@app.command()
def decide(
    id: Image,
    other: Image,
    verdict: Annotated[
        str,
        typer.Argument(
            metavar="same|different|keep-both|undecided",
            help="undecided forgets an earlier decision.",
        ),
    ],
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Decide about two pictures, once: it is kept by content, whatever happens to the files."""
    if verdict not in VERDICTS:
        known = ", ".join(VERDICTS)
        raise typer.BadParameter(f"{verdict!r} is none of {known}", param_hint="VERDICT")
    chosen = VERDICTS[verdict]
    with options.open_database(db) as database:
        database.duplicates.decide(id, other, chosen, collection=collection)
    talk(f"{id} and {other}: {verdict}")


@app.command("take-over")
def take_over(
    collection: Collection = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="Only this key of the metadata; repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be taken over; change nothing.")
    ] = False,
    json: options.Json = False,
    as_csv: options.Csv = False,
    db: options.Db = None,
) -> None:
    """Give keepers the metadata that they lack and their duplicates have; nothing is overwritten.

    A value that a keeper has instead of its duplicate's is shown, and stays.
    """
    options.one_format(json, as_csv)
    with (
        options.open_database(db) as database,
        interruptible("what was taken over is stored; run it again to go on"),
    ):
        found = database.duplicates.take_over(collection, keys=key or [], dry_run=dry_run)
    header = ["keeper", "path", "key", "value", "from", "kept"]
    rows = ([o.keeper_id, o.path, o.key, _value(o.value), o.from_id, _value(o.kept)] for o in found)
    if json:
        print_json_list(found)
    elif as_csv:
        print_csv(header, rows)
    else:
        print_pages(header, rows)
    n_taken = sum(offer.is_taken for offer in found)
    what = counted(n_taken, "value would be taken over", "values would be taken over")
    if not dry_run:
        what = counted(n_taken, "value was taken over", "values were taken over")
    left = len(found) - n_taken
    rest = f"; {counted(left, 'other stays', 'others stay')} where the keeper has another value"
    talk(what + (rest if left else ""))


def _value(value: object) -> str:
    return "" if value is None else shown_value(value)


@app.command()
def keep(
    id: Image,
    rejected: Annotated[
        list[int] | None,
        typer.Argument(
            min=1, max=2**63 - 1, help="Pictures of the same group, rejected beside it."
        ),
    ] = None,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Forget these rejections; without any, all that was stored of ID."
        ),
    ] = False,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Keep a picture, first in its group, and reject others beside it; no file is changed.

    It is kept by content, as decisions are. `export --rejected` lists what was rejected.
    """
    others = rejected or []
    with options.open_database(db) as database:
        database.review.keep({id: others}, undo=undo, collection=collection)
    talk(f"{id}: {'forgotten' if undo else f'kept, {len(others)} rejected'}")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write: .csv, .jsonl or .sh.")],
    move_to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A script that moves the duplicates there."),
    ] = None,
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="A script that makes hard links of duplicates with the keeper's bytes."
        ),
    ] = False,
    rejected: Annotated[
        bool,
        typer.Option("--rejected", help="Only duplicates that a person rejected, as in a review."),
    ] = False,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Write the groups to a file, or to a shell script; no picture is changed.

    The script shows what it would do; with `run` it does it.
    """
    with options.open_database(db) as database, interruptible("no file was written"):
        n = database.duplicates.export(
            file, move_to=move_to, link=link, rejected=rejected, collection=collection
        )
    talk(f"wrote {file}: {counted(n, 'duplicate')}")
