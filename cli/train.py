"""spocdb train."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spocdb.recipe_options import OPTIONS, RecipeOptions

from . import options
from .output import print_json, quiet_libraries, talk
from .running import interruptible

if TYPE_CHECKING:
    from spocdb.features.selection import Wanted
    from spocdb.settings import Limits
    from spocdb.training.outcome import Trained
    from spocdb.training.samples import Sample

app = typer.Typer(
    help="Train a network on your own images; the result is an extractor.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

GO_ON = "run the same command to continue after the last whole epoch"
# The recipe options of a network in training.
TRAINED = ("size", "fit", "pooling", "centering", "sigma", "gem_p")
# The options of a teacher and their parsers.
TEACHER_OPTIONS: dict[str, Callable[[str], Any]] = {
    "weights": Path,
    **{name: option.parse for name, option in OPTIONS.items()},
}

Parent = Annotated[
    str,
    typer.Option(
        "--extractor", help="The network to adapt: a preset, or one of `spocdb extractors`."
    ),
]
Epochs = Annotated[int, typer.Option("--epochs", help="Passes over the images.")]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Images per step.")]
LearningRate = Annotated[
    float, typer.Option("--learning-rate", help="The highest learning rate; it falls to zero.")
]
Frozen = Annotated[
    float,
    typer.Option(help="Part of the network's layers, from the image on, that keep their weights."),
]
HeldOut = Annotated[
    float, typer.Option("--held-out", help="Part of the classes, or images, to validate on.")
]
Patience = Annotated[
    int | None,
    typer.Option(
        "--patience",
        help="Epochs without a better held-out mAP before the training ends; the best is kept.",
        show_default="all epochs are run, and the last is kept",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same weights.")]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16",
        help="auto: bfloat16 where the hardware is fast in it.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        metavar="FILE.safetensors", help="Weights file; until then a checkpoint lies beside it."
    ),
]


@app.command()
@options.with_recipe(*TRAINED)
def distill(
    *,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Images to learn on, without labels.")
    ],
    out: Out,
    teacher: Annotated[
        list[str],
        typer.Option(
            metavar="NAME[,KEY=VALUE...]",
            help="An extractor to learn from: a preset with weights=FILE and a recipe's options, "
            "or one of `spocdb extractors`; several are concatenated.",
        ),
    ],
    student: Annotated[
        str, typer.Option(metavar="PRESET", help="The network that learns.")
    ] = "mini",
    start: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|random",
            help="Weights to begin with; mini also takes a SqueezeNet's, mini2 a Lite0's.",
            show_default="the preset's own",
        ),
    ] = None,
    views: Annotated[
        int, typer.Option(min=1, help="Different parts of each image, taken in turn.")
    ] = 4,
    augmentation: Annotated[
        str,
        typer.Option(
            metavar="mild|strong", help="How views differ from the image: see the reference."
        ),
    ] = "mild",
    copies: Annotated[
        float,
        typer.Option(
            help="Weight of a second aim: copies of an image near, other images far; 0: none."
        ),
    ] = 0.0,
    epochs: Epochs = 20,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 1e-3,
    held_out: HeldOut = 0.1,
    frozen: Frozen = 0.0,
    patience: Patience = None,
    seed: Seed = 0,
    plot: options.Plot = None,
    recipe: RecipeOptions,
    device: options.Device = "auto",
    precision: Precision = "auto",
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Train a small network to reproduce the descriptors of large ones.

    After an interruption the same command continues.
    """
    from spocdb.training.copies import Copies
    from spocdb.training.distill import Student
    from spocdb.training.distill import distill as run
    from spocdb.training.schedule import Schedule
    from spocdb.training.views import find_augmentation

    _check_plot(plot)
    schedule = Schedule(
        epochs,
        batch_size,
        learning_rate,
        patience=patience,
        seed=seed,
        device=device,
        precision=precision,  # type: ignore[arg-type]  # the library checks it
    )
    with options.open_database(db) as database, quiet_libraries(), interruptible(GO_ON):
        trained = run(
            database,
            paths,
            out,
            [_teacher(text) for text in teacher],
            Student(student, start, recipe),
            schedule,
            augmentation=find_augmentation(augmentation),
            copies=Copies(copies),
            n_views=views,
            held_out=held_out,
            frozen=frozen,
        )
        _tell(trained, plot, json)


@app.command()
@options.with_recipe(*TRAINED)
def finetune(
    *,
    out: Out,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH...", help="Folders of images; the folder that each lies in is its class."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".csv or .jsonl with `path` and the classes, instead."),
    ] = None,
    column: Annotated[
        str, typer.Option(help="The classes' column in --labels, or key of the metadata.")
    ] = "label",
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Pairs `query,match` of the same class, instead."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="Classes from a collection's metadata, instead."),
    ] = None,
    labels_from: Annotated[
        str | None,
        typer.Option(
            metavar="SELECT",
            help="Rows `path, label`, or pairs `query, match` of one class, of tables, instead.",
        ),
    ] = None,
    extractor: Parent = "mini",
    weights: options.Weights = None,
    loss: Annotated[
        str,
        typer.Option(
            metavar="multi-similarity|triplet|contrastive|arcface|soft-triple",
            help="Loss function.",
        ),
    ] = "multi-similarity",
    per_class: Annotated[int, typer.Option(min=2, help="Images of each class in a batch.")] = 4,
    hard_negatives: Annotated[
        int, typer.Option(min=0, help="Nearest images of other classes, added to those; 0: none.")
    ] = 4,
    frozen: Frozen = 0.0,
    epochs: Epochs = 10,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 1e-4,
    held_out: HeldOut = 0.2,
    patience: Patience = None,
    seed: Seed = 0,
    plot: options.Plot = None,
    recipe: RecipeOptions,
    device: options.Device = "auto",
    precision: Precision = "auto",
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Adapt a network to images whose classes are known.

    After an interruption the same command continues.
    """
    from spocdb.features.selection import Wanted
    from spocdb.training import labelling
    from spocdb.training.finetune import finetune as run
    from spocdb.training.metric_learning import Grouping
    from spocdb.training.schedule import Schedule

    given = [what for what in (paths, labels, pairs, collection, labels_from) if what]
    if len(given) != 1:
        raise typer.BadParameter(
            "give folders, --labels, --pairs, --collection or --labels-from: one of them",
            param_hint="PATH...",
        )
    _check_plot(plot)
    schedule = Schedule(
        epochs,
        batch_size,
        learning_rate,
        patience=patience,
        seed=seed,
        device=device,
        precision=precision,  # type: ignore[arg-type]  # the library checks it
    )
    with options.open_database(db) as database, quiet_libraries(), interruptible(GO_ON):
        labelled: Callable[[Limits], list[Sample]]
        if labels:
            labelled = partial(labelling.by_column, labels, column)
        elif pairs:
            labelled = partial(labelling.by_pairs, pairs)
        elif collection:
            labelled = partial(labelling.by_metadata, database, collection, column)
        elif labels_from:
            labelled = partial(labelling.by_statement, database, labels_from)
        else:
            labelled = partial(labelling.by_folder, paths or [])
        trained = run(
            database,
            labelled,
            out,
            Wanted(extractor, weights, recipe),
            schedule,
            loss=loss,
            grouping=Grouping(per_class, hard_negatives),
            held_out=held_out,
            frozen=frozen,
        )
        _tell(trained, plot, json)


def _check_plot(plot: Path | None) -> None:
    if plot:
        from spocdb.evaluation.plots import check_name

        check_name(plot)  # before hours of work, not after them


def _tell(trained: "Trained", plot: Path | None, json: bool) -> None:
    before, after = trained.history[0].mAP, trained.kept.mAP
    talk(f"wrote {trained.weights}; held-out mAP {before:.4f} before, {after:.4f} after")
    if json:
        print_json({"extractor": trained.extractor, **trained.parentage})
    else:
        print(trained.extractor)
    if plot:
        from spocdb.training.plots import draw

        draw(trained.history, trained.extractor, plot, trained.parentage.get("teachers_mAP"))
        talk(f"drew {plot}")


def _teacher(text: str) -> "Wanted":
    """Parse NAME[,KEY=VALUE...]; a value may have commas itself."""
    from spocdb.features.selection import Wanted

    name, *pairs = re.split(r",(?=[^,]*=)", text)
    given: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            given[key] = TEACHER_OPTIONS[key](value)
        except (KeyError, ValueError):
            raise _no_option(pair) from None
    if "," in name:
        raise _no_option(name.rpartition(",")[2])
    weights = given.pop("weights", None)
    return Wanted(name, weights, given)


def _no_option(text: str) -> typer.BadParameter:
    known = ", ".join(TEACHER_OPTIONS)
    message = f"{text!r} is not KEY=VALUE with one of {known}"
    return typer.BadParameter(message, param_hint="--teacher")
