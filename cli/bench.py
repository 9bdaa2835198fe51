"""spocdb bench."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spocdb.recipe_options import RecipeOptions

from . import options, presets
from .output import counted, print_json, print_table, quiet_libraries, talk
from .running import interruptible

if TYPE_CHECKING:
    from spocdb.bench.speed import Speed


@options.with_recipe("size", "fit")
def bench(
    *,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Your images; by default generated photographs."),
    ] = None,
    extractor: presets.Extractor = None,
    weights: options.Weights = None,
    recipe: RecipeOptions,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="Seconds to measure each stage.")
    ] = 2.0,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Measure how fast this machine ingests, by stage; name the bottleneck and what would help.

    Nothing is left in the database.
    """
    from spocdb.bench.measure import Options, measure

    from .logs import only

    with (
        only("spocdb.bench", "spocdb.db.watching"),
        options.open_database(db) as database,
        quiet_libraries(),
        interruptible("nothing is left in the database"),
    ):
        speed = measure(
            database,
            paths or [],
            Options(
                extractor,
                weights,
                recipe,
                device,
                precision,  # type: ignore[arg-type]  # the library checks it
                seconds,
            ),
        )
    if json:
        print_json(speed.as_dict())
    else:
        _print(speed)


def _print(speed: "Speed") -> None:
    from spocdb.bench.speed import advice

    machine = speed.machine
    rows = [
        [stage.name, f"{stage.per_second:.1f}", f"{100 * speed.share(stage):.0f} %"]
        for stage in speed.stages
    ]
    print_table(["stage", "images/s", "used"], [*rows, ["ingest", f"{speed.ingest:.1f}", ""]])
    talk(
        f"{machine.extractor} at {machine.size}, {machine.device} in {machine.precision}, "
        f"{counted(machine.n_cores, 'core')}; "
        f"{counted(speed.n_images, 'image')} of {machine.megapixels:.1f} megapixels"
    )
    if speed.n_failed:
        talk(f"{counted(speed.n_failed, 'image')} could not be read")
    for line in advice(speed):
        talk(line)
