"""spocdb db."""

from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .output import talk
from .translation import in_commands

if TYPE_CHECKING:
    from spocdb.settings import Settings

app = typer.Typer(
    help="The database: schema, server, health.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def init(db: options.Db = None) -> None:
    """Create the schema spocdb, and the extension vector if it is missing."""
    from spocdb.db import schema

    for url in _urls(db):
        schema.init(url)
        print(f"schema spocdb at {schema.HEAD}")


@app.command()
def upgrade(
    show_sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL for a DBA instead of running it.")
    ] = False,
    since: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="REVISION",
            help="With --sql: the schema's revision, see `spocdb db current`.",
            show_default="nothing yet",
        ),
    ] = "base",
    db: options.Db = None,
) -> None:
    """Upgrade the schema spocdb to the newest revision."""
    from spocdb.db import schema

    if show_sql:
        print(schema.upgrade_sql(since), end="")
        return
    for url in _urls(db):
        schema.upgrade(url)
        print(f"schema spocdb at {schema.HEAD}")


@app.command()
def current(db: options.Db = None) -> None:
    """Print the schema's revision, and the one that this program needs."""
    from spocdb.db import connections, schema

    for url in _urls(db):
        with connections.opened(url) as connection:
            print(f"{schema.current(connection) or 'none'} (newest: {schema.HEAD})")


@app.command()
def url(db: options.Db = None) -> None:
    """Print the database's URL, for psql or an application; starts the embedded server.

    The URL is printed as given, including a password.
    """
    print(_url(db))


@app.command()
def start() -> None:
    """Start the embedded server and print its URL; it runs until `spocdb db stop`."""
    from spocdb.db import embedded

    print(embedded.start(_settings(None).data_dir))


@app.command()
def stop() -> None:
    """Stop the embedded server; its data stays."""
    from spocdb.db import embedded

    was_running = embedded.stop(_settings(None).data_dir)
    talk("stopped" if was_running else "the embedded server is not running")


@app.command()
def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Drop leftovers of interrupted builds and commands.")
    ] = False,
    db: options.Db = None,
) -> None:
    """Check the server and the schema, and print what to do; exit code 1 for an error."""
    from spocdb.db import connections
    from spocdb.db import doctor as examination

    with connections.opened(_url(db)) as connection:
        for line in examination.fix(connection) if fix else ():
            print(f"{'fixed':8} {line}")
        findings = examination.examine(connection)
    for finding in findings:
        advice = f": {finding.advice}" if finding.advice else ""
        print(f"{finding.verdict:8} {in_commands(finding.what + advice)}")
    if any(finding.verdict == "error" for finding in findings):
        raise typer.Exit(1)


@app.command()
def grant(
    reader: Annotated[
        str | None,
        typer.Option("--reader", metavar="ROLE", help="May read and search one collection."),
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option("--worker", metavar="ROLE", help="May run `spocdb worker`."),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="ROLE", help="Owns spocdb; only a superuser can grant it."),
    ] = None,
    collection: options.Collection = None,
    db: options.Db = None,
) -> None:
    """Give a role the rights that it needs; run as the role that ran `spocdb db init`."""
    if [reader, worker, owner].count(None) != 2:
        raise typer.BadParameter(
            "name one role with --reader, --worker or --owner", param_hint="--reader"
        )
    with options.open_database(db) as database:
        if reader is not None:
            name = database.collection(collection)
            database.grant_reader(reader, name)
            print(f"{reader} may read and search {name}")
        elif worker is not None:
            database.grant_worker(worker)
            print(f"{worker} may run `spocdb worker`")
        elif owner is not None:
            database.grant_owner(owner)
            print(f"{owner} owns spocdb")


def _settings(url: str | None) -> "Settings":
    from spocdb.settings import from_environment

    return from_environment(url)


def _url(db: str | None) -> str:
    from spocdb.db import addresses, embedded

    settings = _settings(db)
    addresses.refuse_shards(settings.database_url or "")
    return settings.database_url or embedded.start(settings.data_dir)


def _urls(db: str | None) -> list[str]:
    """Return the address of the database, or those of several servers."""
    from spocdb.db import addresses

    url = _settings(db).database_url or ""
    return addresses.of_shards(url) if url.startswith(addresses.SHARDS) else [_url(db)]
