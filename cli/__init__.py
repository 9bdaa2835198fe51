"""The command line: each command parses, calls one function of the library, and prints.

Exit codes: 0 success; 1 an error, printed as one line; 2 a usage error; 3 the ingest finished, but
images failed; 130 interrupted; 141 the reader of stdout closed it. Data goes to stdout, messages go
to stderr.
"""

import sys
import warnings
from functools import cache
from typing import Any

import typer

from . import (
    attach,
    bench,
    codebook,
    collections,
    db,
    duplicates,
    edge,
    evaluate,
    failures,
    images,
    index,
    ingest,
    maps,
    pca,
    reembed,
    search,
    serve,
    shared,
    signals,
    train,
    worker,
)
from .output import be_quiet

app = typer.Typer(
    cls=signals.Interruptible,
    help="Visual similarity search inside your own PostgreSQL.",
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 finished with failures, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    # Groups and commands inherit it.
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(ingest.ingest)
app.command()(search.search)
app.command()(serve.serve)
app.add_typer(images.app, name="images")
app.command("map")(maps.map_)
app.command()(maps.export)
app.add_typer(duplicates.app, name="duplicates")
app.command()(failures.failures)
app.command()(attach.attach)
app.command()(attach.detach)
app.command()(worker.worker)
app.command()(worker.status)
app.command()(worker.retry)
app.command()(reembed.reembed)
app.add_typer(pca.app, name="pca")
app.command()(bench.bench)
app.add_typer(evaluate.app, name="eval")
app.add_typer(train.app, name="train")
app.add_typer(codebook.app, name="codebook")
app.add_typer(index.app, name="index")
app.command()(collections.extractors)
app.add_typer(collections.app, name="collections")
app.add_typer(db.app, name="db")
shared.share(app)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if show:
        from spocdb import __version__

        print(__version__)
        raise typer.Exit


@cache
def root() -> Any:
    """Return the tree of commands. Typer builds it from their signatures, once per process."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line of this process; turn a signal into an exit code."""
    # First, because the signals' pipe would otherwise get the descriptor of a closed stream.
    edge.open_streams()
    with signals.ending_soon():
        sys.exit(run())


def run() -> int:
    """Run the command line in `sys.argv`; turn an error into an exit code."""
    edge.hide_secrets(sys.argv[1:])
    # A user can do nothing about Pillow's warnings on a file's metadata.
    warnings.filterwarnings("ignore", module="PIL")
    be_quiet(False)
    return edge.run(root())
