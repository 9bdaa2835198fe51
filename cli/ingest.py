"""spocdb ingest."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spocdb.recipe_options import RecipeOptions
from spocdb.text import written_out

from . import options, presets
from .elsewhere import NOT_ON_RAY, NOT_QUEUED, refuse_others
from .output import confirm, counted, print_json, quiet_libraries, talk
from .running import FINISHED_WITH_FAILURES, display
from .translation import in_commands

if TYPE_CHECKING:
    from spocdb.progress import Progress
    from spocdb.pruning import GoneRoot

    from .progress import Display


# The argument for a list of names on stdin.
STDIN = "-"


@options.with_recipe()
def ingest(
    *,
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...", help="Files, folders, archives, Parquet, buckets, URLs; -: a list."
        ),
    ] = None,
    urls_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="URLs, one in a line, or a .csv with a column `url`."),
    ] = None,
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Collection; created if it does not exist.")
    ] = "photos",
    extractor: presets.Extractor = None,
    weights: options.Weights = None,
    codebook: options.Codebook = None,
    recursive: Annotated[bool, typer.Option(help="Also read subfolders.")] = True,
    all_files: Annotated[
        bool,
        typer.Option(
            "--all-files", help="Recognise images by their first bytes, whatever the name."
        ),
    ] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also read linked folders.")
    ] = False,
    image_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of Parquet files that holds the images."),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".csv or .jsonl, with a column `path`."),
    ] = None,
    exif: Annotated[
        bool,
        typer.Option("--exif", help="Store date, camera, lens, place of photographs as metadata."),
    ] = False,
    moves: Annotated[
        bool,
        typer.Option(
            "--moves/--no-moves", help="Recognise moved files by their bytes; id and metadata stay."
        ),
    ] = True,
    thumbnails: options.Thumbnails = True,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete images under PATH whose file is gone.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Prune a PATH that is gone without asking.")
    ] = False,
    enqueue: Annotated[
        bool, typer.Option("--enqueue", help="Leave the images to `spocdb worker`, on any machine.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Let a Ray cluster do it: HOST:PORT of its head, or auto."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done; change nothing.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad image.")] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Retry failed files, even if unchanged; "
            "without PATH, all failed files of the collection.",
        ),
    ] = False,
    auto_pca: Annotated[
        int,
        typer.Option(metavar="N", help="Fit a first PCA at N different images; 0: never."),
    ] = 1000,
    partitions: options.Partitions = None,
    recipe: RecipeOptions,
    device: options.Device = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per batch.", show_default="8 a core, 64 on GPU"),
    ] = None,
    precision: options.Precision = "auto",
    json: options.Json = False,
    db: options.Db = None,
) -> None:
    """Add images to a collection.

    Unchanged files are not read again, and the network sees the same bytes only once. Each batch is
    committed: after an interruption the same command continues.
    """
    if not paths and not urls_from and not retry_failed:
        raise typer.BadParameter("name the images or folders to ingest", param_hint="PATH...")
    if yes and not prune:
        raise typer.BadParameter("give it only with --prune", param_hint="--yes")
    if enqueue:
        refuse_others(context, "--enqueue", NOT_QUEUED)
    if ray:
        refuse_others(context, "--ray", NOT_ON_RAY)
    from spocdb.records import Choice
    from spocdb.settings import from_environment
    from spocdb.sources.lists import listed
    from spocdb.sources.opening import opened, reads_far, terms_of

    given = [path for path in paths or [] if path != STDIN]
    names_from = _kept_stdin() if STDIN in (paths or []) else None
    choice = Choice(recursive, all_files, follow_links, image_column)

    def count() -> int | None:
        terms = replace(terms_of(from_environment(), choice), unopened=enqueue)
        source = opened(given, terms, listed(names_from, urls_from))
        # A listing would read archives of a bucket once more.
        return None if reads_far(source) and not enqueue else sum(1 for _ in source.refs())

    if dry_run:
        with options.open_all(db) as database:
            preview = database.preview(
                *given,
                collection=collection,
                choice=choice,
                names_from=names_from,
                urls_from=urls_from,
                prune=prune,
                exif=exif,
            )
        _print_preview(preview, json=json)
        return
    if enqueue:
        with display(count, "opening the database") as shown, options.open_database(db) as one:
            progress = one.enqueue(
                *given,
                collection=collection,
                extractor=extractor,
                weights=weights,
                codebook=codebook,
                recursive=recursive,
                all_files=all_files,
                follow_links=follow_links,
                image_column=image_column,
                names_from=names_from,
                urls_from=urls_from,
                partitions=partitions,
                device=device,
                precision=precision,  # type: ignore[arg-type]  # the library checks it
                on_progress=shown.update,
                **recipe,
            )
            shown.close()
        _end(progress, json=json)
        return
    with (
        quiet_libraries(),
        display(count, "opening the database") as shown,
        options.open_all(db) as database,
    ):
        if prune and not yes:
            gone = database.gone(*given, collection=collection, choice=choice)
            yes = _is_agreed(gone, shown)
            shown.doing("looking for images")
        progress = database.ingest(
            *given,
            collection=collection,
            extractor=extractor,
            weights=weights,
            codebook=codebook,
            recursive=recursive,
            all_files=all_files,
            follow_links=follow_links,
            image_column=image_column,
            names_from=names_from,
            urls_from=urls_from,
            metadata=metadata,
            exif=exif,
            moves=moves,
            thumbnails=thumbnails,
            prune=prune,
            prune_gone=yes,
            strict=strict,
            retry_failed=retry_failed,
            auto_pca=auto_pca,
            partitions=partitions,
            batch_size=batch_size,
            device=device,
            precision=precision,  # type: ignore[arg-type]  # the library checks it
            ray=ray,
            on_progress=shown.update,
            **recipe,
        )
        shown.close()
    _end(progress, json=json)


def _end(progress: "Progress", *, json: bool) -> None:
    """Print what an ingest did; exit with its code."""
    if json:
        _print_json(progress)
    if progress.n_failed:
        talk(f"{counted(progress.n_failed, 'image')} failed: see `spocdb failures`")
        raise typer.Exit(FINISHED_WITH_FAILURES)


def _kept_stdin() -> Path:
    """Copy the list on stdin to a file that goes with the process; it is read twice."""
    kept = tempfile.NamedTemporaryFile(prefix="spocdb-names-")  # noqa: SIM115
    atexit.register(kept.close)
    shutil.copyfileobj(sys.stdin.buffer, kept)
    kept.flush()
    return Path(kept.name)


def is_interactive() -> bool:
    """Return whether stdin is a terminal, so that a person can be asked."""
    return sys.stdin.isatty()


def _is_agreed(gone: "Sequence[GoneRoot]", shown: "Display") -> bool:
    """Ask whether to delete the images of paths that are gone; exit on a no."""
    # Without a terminal the library refuses, and its error says what to do.
    if not gone or not is_interactive():
        return False
    with shown.asking():
        for root in gone:
            question = f"{root}: forget its {counted(root.n_images, 'image')}?"
            confirm(written_out(question), yes=False)
    return True


def _print_json(progress: "Progress") -> None:
    from spocdb.sources.kinds import installs

    print_json({**progress.as_dict(), "install": installs(progress.left_out)})


def _print_preview(preview: "Progress", *, json: bool) -> None:
    from spocdb.sources.kinds import told

    if json:
        _print_json(preview)
        return
    print(
        f"would read {counted(preview.n_new, 'file')} of {preview.n_seen:,}, "
        f"{preview.n_unchanged:,} unchanged, {preview.n_failed:,} failed before"
    )
    if preview.n_pruned:
        # Whether a new file is a moved one shows only when it is read.
        unless = ", if it was not moved" if preview.n_new else ""
        print(f"would delete {counted(preview.n_pruned, 'image')} whose file is gone{unless}")
    if left_out := told(preview.left_out):
        print(f"would leave out {in_commands(left_out)}")
