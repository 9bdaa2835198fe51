"""The command line: each command parses, calls one function of the library, and prints.

Exit codes: 0 all went well; 1 an error, said in one line; 2 the command line makes no sense;
3 the ingest finished, but images failed; 130 interrupted. stdout is data, stderr is talk.
"""

import io
import signal
import sys
import warnings

import typer

from . import (
    attach,
    bench,
    codebook,
    collections,
    db,
    evaluate,
    images,
    index,
    ingest,
    pca,
    reembed,
    search,
    train,
    worker,
)
from .output import talk
from .running import interrupt

app = typer.Typer(
    help="Visual similarity search inside your own PostgreSQL.",
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 finished with failures, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
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
    """Run the command line; the one place where errors become a line and an exit code."""
    from spocdb.errors import SpocdbError

    # What Pillow finds odd about a file's metadata is nothing a user could mend.
    warnings.filterwarnings("ignore", module="PIL")
    # Data is UTF-8 whatever the terminal's: names are.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    # Like Ctrl-C: what is being written is finished, and the same command goes on later.
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and shells leave it
            signal.signal(number, interrupt)
    try:
        app()
    except SpocdbError as exc:
        talk(f"spocdb: {exc}")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has enough.
        sys.stderr.close()
        sys.exit(1)
