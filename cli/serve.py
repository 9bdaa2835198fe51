"""spocdb serve."""

import importlib.util
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .output import quiet_libraries, talk
from .signals import graceful

if TYPE_CHECKING:
    from spocdb.web.options import ServerOptions


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; others need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8117,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the token that clients have to send."),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--names", metavar="NAME", help="A further name of this server, in DNS; repeatable."
        ),
    ] = None,
    collections: Annotated[
        list[str] | None,
        typer.Option("--collections", "-c", help="Show only this collection; repeatable."),
    ] = None,
    is_review: Annotated[
        bool,
        typer.Option(
            "--review/--read-only", help="Whether the page may activate other projections."
        ),
    ] = False,
    db: options.Db = None,
) -> None:
    """Serve an HTTP API and a page to look at, until stopped.

    Needs the extra `spocdb[web]`.
    """
    _require("fastapi", "uvicorn", "jinja2", "prometheus_client")
    from spocdb.web.options import ServerOptions, read_token

    asked = ServerOptions(
        host,
        port,
        read_token(token_file) if token_file else None,
        tuple(collections or ()),
        tuple(names or ()),
        is_review,
    )
    with quiet_libraries():
        _serve(asked, db)
    talk("stopped")


def _serve(asked: "ServerOptions", db: str | None) -> None:
    from spocdb.api import connect
    from spocdb.web.server import Server
    from spocdb.web.warming import warm

    with connect(db, statement_seconds=asked.bounds.statement_seconds) as database:
        for name in asked.collections:
            database.collection(name)
        server = Server(database.engine, asked)
        warming: list[Thread] = []

        def begin() -> None:
            talk(f"serving {server.url}")
            warming.append(warm(database.engine, asked))

        try:
            with graceful():
                server.run(begin)
        finally:
            # It may be loading a network, and the interpreter must not end below it.
            for thread in warming:
                thread.join()


def _require(*modules: str) -> None:
    """Raise BadParameter if the extra is not installed."""
    from spocdb.errors import ConfigError

    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ConfigError("`spocdb serve` needs packages: run `pip install 'spocdb[web]'`")
