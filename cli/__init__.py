"""The command line: each command parses, calls one function of the library, and prints.

Exit codes: 0 all went well; 1 an error, said in one line; 2 the command line makes no sense;
3 the ingest finished, but images failed; 130 interrupted; 141 the reader of stdout has enough.
stdout is data, stderr is talk.
"""

import sys
import warnings

import typer

from . import (
    attach,
    bench,
    codebook,
    collections,
    db,
    edge,
    evaluate,
    images,
    index,
    ingest,
    pca,
    reembed,
    search,
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
    # Of groups and commands too.
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(ingest.ingest)
app.command()(search.search)
app.add_typer(images.app, name="images")
app.command()(ingest.failures)
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


def main() -> None:
    """Run the command line of this process; the one place where a signal becomes an exit code."""
    # Before the pipe of the signals, which would get the number of a stream that is closed.
    edge.prepare_streams()
    with signals.ending_soon():
        sys.exit(run())


def run() -> int:
    """Run the command line in `sys.argv`; the one place where an error becomes an exit code."""
    edge.hide_secrets(sys.argv[1:])
    # What Pillow finds odd about a file's metadata is nothing a user could mend.
    warnings.filterwarnings("ignore", module="PIL")
    be_quiet(False)
    return edge.run(app)
