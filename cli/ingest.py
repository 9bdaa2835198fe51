"""spocdb ingest, spocdb failures."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .output import counted, print_json, print_table, quiet_libraries, talk
from .running import FINISHED_WITH_FAILURES, display


def ingest(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Image files and folders.")
    ] = None,
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Collection; made if it is new.")
    ] = "photos",
    extractor: options.Extractor = None,
    weights: options.Weights = None,
    codebook: options.Codebook = None,
    recursive: Annotated[bool, typer.Option(help="Go into folders below the given ones.")] = True,
    metadata: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".csv or .jsonl, with a column `path`."),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete images under PATH whose file is gone.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad image.")] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Try failed files again, though they are unchanged; "
            "without PATH all of the collection's.",
        ),
    ] = False,
    auto_pca: Annotated[
        int,
        typer.Option(metavar="N", help="Fit a first PCA at N different images; 0: never."),
    ] = 1000,
    size: options.Size = None,
    fit: options.Fit = None,
    relu: options.Relu = None,
    pooling: options.Pooling = None,
    centering: options.Centering = None,
    sigma: options.Sigma = None,
    gem_p: options.GemP = None,
    attention: options.Attention = None,
    scales: options.Scales = None,
    flip: options.Flip = None,
    device: options.Device = "auto",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images a batch.", show_default="8 a core, 64 on GPU")
    ] = None,
    precision: options.Precision = "auto",
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Bring images into a collection.

    Unchanged files are not read again, the same bytes never enter the network twice, and what is
    written stays: after an interruption the same command goes on.
    """
    if not paths and not retry_failed:
        raise typer.BadParameter("name the images or folders to ingest", param_hint="PATH...")
    recipe = options.recipe(
        scales,
        size=size,
        fit=fit,
        relu=relu,
        pooling=pooling,
        centering=centering,
        sigma=sigma,
        gem_p=gem_p,
        attention=attention,
        flip=flip,
    )
    with (
        options.open_database(db) as database,
        quiet_libraries(),
        display(lambda: _count(paths or [], recursive)) as shown,
    ):
        progress = database.ingest(
            *(paths or []),
            collection=collection,
            extractor=extractor,
            weights=weights,
            codebook=codebook,
            recursive=recursive,
            metadata=metadata,
            prune=prune,
            strict=strict,
            retry_failed=retry_failed,
            auto_pca=auto_pca,
            batch_size=batch_size,
            device=device,
            precision=precision,  # type: ignore[arg-type]  # the library checks it
            on_progress=shown.update,
            say=shown.say,
            **recipe,
        )
        shown.close()
    if json:
        print_json(progress.as_dict())
    if progress.n_failed:
        talk(f"{counted(progress.n_failed, 'image')} failed: see `spocdb failures`")
        raise typer.Exit(FINISHED_WITH_FAILURES)


def failures(
    collection: options.Collection = None,
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """List the images that did not make it, and why."""
    with options.open_database(db) as database:
        rows = database.failures(collection)
    if json:
        print_json(rows)
    elif rows:
        print_table(
            ["collection", "reason", "path", "message"],
            [[f.collection, f.reason, f.path, f.message] for f in rows],
        )
    else:
        talk("no failures")


def _count(paths: list[Path], recursive: bool) -> int:
    from spocdb.images.sources import walk

    return sum(1 for _ in walk(paths, recursive))
