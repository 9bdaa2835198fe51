"""spocdb duplicates calibrate."""

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .output import complain, counted, print_json, print_table, quiet_libraries, talk
from .running import FINISHED_WITH_FAILURES, interruptible

if TYPE_CHECKING:
    from spocdb.thresholds import Calibration

# Images between two lines of progress.
STEP = 50
# Points of the curve, and the nearest pairs, that are printed.
POINTS = SHOWN = 10


def calibrate(
    collection: Annotated[
        str | None, typer.Argument(help="The collection; without it the only one, or else photos.")
    ] = None,
    images: Annotated[int, typer.Option(help="How many pictures are changed and compared.")] = 200,
    precision: Annotated[
        float,
        typer.Option(help="The part of what is found that should be right, 0.5 to below 1."),
    ] = 0.99,
    copies: Annotated[
        float,
        typer.Option(help="How many copies of each picture the precision supposes."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Chooses the pictures and their changes.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw precision and recall over the distance."),
    ] = None,
    json: options.Json = False,
    device: options.Device = "auto",
    db: options.Db = None,
) -> None:
    """Measure how near copies are, by changing some of the collection's own pictures.

    The distances are stored with the active projection, for `spocdb duplicates find --level`. Look
    at the pairs that it lists: decide about copies among them, and calibrate again.
    """
    if plot:
        from spocdb.drawing.calibration import check_name, draw_calibration

        check_name(plot)
    with (
        options.open_database(db) as database,
        interruptible("nothing was stored"),
        quiet_libraries(),
    ):
        measured = database.duplicates.calibrate(
            collection,
            images=images,
            precision=precision,
            copies=copies,
            seed=seed,
            device=device,
            on_done=_show,
        )
    if json:
        print_json(measured)
    else:
        _tell(measured)
    if plot:
        draw_calibration(measured, plot)
        talk(f"drew {plot}")
    if measured.picture is None:
        complain(
            f"no distance has precision {precision:g}: decide about the nearest pairs, "
            "or ask for less"
        )
        raise typer.Exit(FINISHED_WITH_FAILURES)


def _show(done: int, due: int) -> None:
    if done % STEP == 0 or done == due:
        talk(f"changed {done:,} of {counted(due, 'picture')}")


def _tell(measured: "Calibration") -> None:
    each = len(measured.curve) // POINTS
    print_table(
        ["distance", "precision", "recall", "recall of all copies"],
        [[f"{part:.3f}" for part in astuple(point)] for point in measured.curve[each - 1 :: each]],
    )
    print()
    print_table(
        ["copies", "the same", "found", "by distance", "within the scene"],
        [
            [one.name, one.level, *(f"{part:.3f}" for part in (one.recall, one.alone, one.scene))]
            for one in measured.variants
        ],
    )
    if measured.picture is not None and measured.scene is not None:
        print(
            f"{measured.collection}, projection {measured.projection}: the same picture up to "
            f"{measured.picture:.4f}, the same scene up to {measured.scene:.4f}"
        )
        print(
            f"the same picture: precision {measured.found_precision:.3f}, "
            f"recall {measured.recall:.3f}"
        )
        talk("next: spocdb duplicates find --level picture")
    if measured.n_taken:
        talk(f"{counted(measured.n_taken, 'pair')} taken for copies: their signatures agree")
    talk("the nearest pairs that nobody has decided about; are they copies?")
    for pair in measured.nearest[:SHOWN]:
        agree = ", taken for copies" if pair.agree else ""
        talk(f"  {pair.distance:.4f}  {pair.id} {pair.path}")
        talk(f"          {pair.other_id} {pair.other_path}{agree}")
