"""spocdb eval."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spocdb.recipe_options import RecipeOptions

from . import options, presets
from .output import moment, print_json, print_table, quiet_libraries, talk

if TYPE_CHECKING:
    from spocdb.evaluation.benchmark import Benchmark
    from spocdb.evaluation.results import Result

app = typer.Typer(
    help="Measure retrieval quality: benchmarks, your own pairs, comparisons of methods.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

GroundTruth = Annotated[Path, typer.Option("--gt", help="The ground truth, as published.")]


@options.with_recipe()
def _measure(
    *,
    benchmark: "Benchmark",
    train: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|COLLECTION", help="Images to fit PCA on, other than the gallery."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="What to compare: recipe (the options below), all (the paper's table), beyond, "
            "or names of methods.",
        ),
    ] = "recipe",
    dim: Annotated[str, typer.Option(metavar="N,...", help="Dimensions of the embedding.")] = "256",
    projection: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER,...",
            help="Measure these projections of the database too; see `spocdb pca list`.",
        ),
    ] = None,
    json: options.Json = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw quality by dimension, and precision-recall."),
    ] = None,
    worst: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the worst queries with what they returned."),
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Store the figures, for `spocdb eval list`.")
    ] = False,
    extractor: presets.Extractor = None,
    weights: options.Weights = None,
    codebook: options.Codebook = None,
    recipe: RecipeOptions,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    db: options.Db = None,
) -> None:
    from spocdb.evaluation.evaluate import evaluate, train_images
    from spocdb.evaluation.methods import find_methods
    from spocdb.evaluation.options import Options
    from spocdb.evaluation.plots import check_name, draw_quality, draw_worst
    from spocdb.evaluation.results import save as store

    from .logs import only

    methods = find_methods(method.split(","))
    dims = options.parse_numbers(dim, "--dim", int)
    numbers = options.parse_numbers(projection, "--projection", int) if projection else []
    for file in filter(None, (plot, worst)):
        check_name(file)  # before hours of work, not after them
    # Each method ingests, fits and activates; show only the log lines about the measurement.
    told = only("spocdb.evaluation", "spocdb.codebooks", "spocdb.drawing", "spocdb.db.watching")
    with told, options.open_database(db) as database, quiet_libraries():
        images = None if train is None else train_images(database, train)
        given = Options(
            images,
            dims,
            extractor,
            weights,
            codebook,
            recipe,
            device,
            precision,  # type: ignore[arg-type]  # the library checks it
            numbers,
        )
        results = evaluate(database, benchmark, methods, given)
        if json:
            print_json([result.as_dict() for result in results])
        else:
            _print(results)
        if save:
            store(database, results)
        if plot:
            draw_quality(results, plot)
            talk(f"drew {plot}")
        if worst:
            draw_worst(results, benchmark, worst, database.settings.max_pixels)
            talk(f"drew {worst}")


def _command(read: "Callable[..., Benchmark]") -> Any:
    """Make a command of `read`, which reads a benchmark, and `_measure`, with both's parameters."""
    own = inspect.signature(read).parameters
    shared = dict(inspect.signature(_measure).parameters)
    del shared["benchmark"]

    def run(**values: Any) -> None:
        _measure(benchmark=read(**{name: values.pop(name) for name in own}), **values)

    command: Any = run
    command.__doc__ = read.__doc__
    every = (*own.values(), *shared.values())
    command.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in every])
    return app.command(read.__name__)(command)


@_command
def holidays(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The images, 100000.jpg ...")],
) -> "Benchmark":
    """INRIA Holidays: mAP, the query left out of its own ranking."""
    from spocdb.evaluation import holidays as benchmark

    return benchmark.read(folder)


@_command
def ukbench(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The images, ukbench00000.jpg ...")],
) -> "Benchmark":
    """UKBench: how many of an object's four images are among the first four."""
    from spocdb.evaluation import ukbench as benchmark

    return benchmark.read(folder)


@_command
def copydays(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folders original, strong, crops/10 ...")
    ],
) -> "Benchmark":
    """INRIA Copydays: mAP of changed copies that look for their originals, by kind of change."""
    from spocdb.evaluation import copydays as benchmark

    return benchmark.read(folder)


@_command
def oxford(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="The folder of images.")],
    gt: GroundTruth,
) -> "Benchmark":
    """Oxford or Paris buildings: mAP by the query's box, and by its whole image."""
    from spocdb.evaluation import oxford as benchmark

    return benchmark.read(images, gt)


@_command
def revisited(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="The folder of images.")],
    gt: GroundTruth,
) -> "Benchmark":
    """Revisited Oxford or Paris: mAP and mP@10, easy, medium and hard."""
    from spocdb.evaluation import revisited as benchmark

    return benchmark.read(images, gt)


@_command
def pairs(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="Columns query and match: right answers.")
    ],
    gallery: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="More images to search among.")
    ] = None,
) -> "Benchmark":
    """Your own pairs of images: mAP and recall@10, each query left out of its own ranking."""
    from spocdb.evaluation import pairs as benchmark

    return benchmark.read(file, gallery)


@app.command("list")
def list_(
    benchmark: Annotated[
        str | None, typer.Option(help="Only this one: holidays, oxford, ...")
    ] = None,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """List the stored figures, oldest first."""
    with options.open_database(db) as database:
        rows = database.evaluations(benchmark)
    if json:
        print_json(rows)
        return
    print_table(
        [
            "measured",
            "benchmark",
            "variant",
            "method",
            "embedding",
            "dim",
            "measure",
            "exact",
            "by index",
            "images",
            "truth",
            "extractor",
        ],
        [
            [
                moment(r.evaluated_at),
                r.benchmark,
                r.variant,
                r.method,
                " ".join(filter(None, (r.projection["kind"], r.projection["fitted_on"]))),
                r.projection["dim"],
                r.measure,
                f"{r.exact:.4f}",
                "" if r.by_index is None else f"{r.by_index:.4f}",
                r.dataset["images"],
                r.dataset["sha256"][:8],
                f"{r.recipe['backbone']} {r.recipe['size']}",
            ]
            for r in rows
        ],
    )


def _print(results: "list[Result]") -> None:
    from spocdb.evaluation.results import as_table

    shown = dict.fromkeys((r.variant, r.measure) for r in results)
    for variant, measure in shown:
        some = [r for r in results if (r.variant, r.measure) == (variant, measure)]
        heading = " ".join(filter(None, (some[0].benchmark, variant, measure)))
        print(f"{heading}, exact and by the HNSW index")
        print_table(*as_table(some))
        print()
