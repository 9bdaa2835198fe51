"""Opening a database for a program: engine and Database in one step."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.api.database import Database
from spocdb.api.engine import POOL_SIZE, Engine
from spocdb.db import addresses, embedded
from spocdb.errors import DatabaseError, SpocdbError
from spocdb.settings import Settings, from_environment

if TYPE_CHECKING:
    from spocdb.api.shards import Shards


def connect(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    pool_size: int = POOL_SIZE,
    statement_seconds: float | None = None,
) -> Database:
    """Open a database at `url`, or at `SPOCDB_DATABASE_URL`, or the embedded server.

    An embedded server that is not running is started, and its schema is upgraded. The schema of any
    other database is not changed. Closing the Database closes its connections. Use it in a `with`
    block, or keep it as long as the process lives. Threads may share it.

    Args:
        url: a URL such as postgresql://USER@HOST/DATABASE, or anything libpq takes.
        settings: all settings, instead of `url` and the environment.
        pool_size: how many connections are opened at most.
        statement_seconds: how long a statement may run; None is as long as it takes, or as a
            statement_timeout of PGOPTIONS or of the URL's options says.

    Returns:
        The database; `.engine` is its engine.

    Raises:
        ConfigError: the address or a setting in the environment is invalid.
        DatabaseLost: the database cannot be reached.
        SchemaOutOfDate: it has no schema spocdb, an older or a newer one.
    """
    if url is not None and not checks.text("url", url):
        # As of a variable that is not set: the embedded server is not what was meant.
        raise checks.invalid("url", url, "an address, or None for the embedded server")
    found = settings or from_environment(url)
    open_engine = partial(Engine, pool_size=pool_size, statement_seconds=statement_seconds)
    if found.database_url is not None:
        return Database(open_engine(found), closes_engine=True)
    # A server that runs and is up to date needs neither the package that starts it nor a superuser.
    if url := embedded.running(found.data_dir):
        with suppress(DatabaseError):
            return Database(open_engine(replace(found, database_url=url)), closes_engine=True)
    url = embedded.upgraded(found.data_dir)
    return Database(open_engine(replace(found, database_url=url)), closes_engine=True)


def connect_shards(
    *urls: str,
    settings: Settings | None = None,
    pool_size: int = POOL_SIZE,
    statement_seconds: float | None = None,
) -> "Shards":
    """Open a database of several servers, which have each collection together.

    The order counts, because it says which server has an image: name the same servers in the same
    order each time. No schema is changed.

    Args:
        *urls: the servers' addresses, or one `shards:FILE`, a file with an address in each line;
            without, `SPOCDB_DATABASE_URL` is that.
        settings: all settings, instead of the environment.
        pool_size: how many connections are opened at most, to each server.
        statement_seconds: how long a statement may run; None is as long as it takes.

    Returns:
        The database; closing it closes its connections.

    Raises:
        ConfigError: an address is invalid, or two are of one database.
        DatabaseLost: a server cannot be reached.
        SchemaOutOfDate: one has no schema spocdb, an older or a newer one.
    """
    from spocdb.api.shards import Shards

    found = settings or from_environment()
    if not urls or urls[0].startswith(addresses.SHARDS):
        urls = (*addresses.of_shards(urls[0] if urls else found.database_url or ""),)
    engines: list[Engine] = []
    try:
        for place, url in enumerate(urls, 1):
            try:
                named = replace(found, database_url=url)
                engines.append(
                    Engine(named, pool_size=pool_size, statement_seconds=statement_seconds)
                )
            except SpocdbError as error:
                error.args = (f"server {place} of {len(urls)}: {error}",)
                raise
        return Shards(engines, closes_engines=True)
    except BaseException:
        for engine in engines:
            engine.close()
        raise


def names_shards(url: str | None) -> bool:
    """Return whether an address, or else SPOCDB_DATABASE_URL, names several servers."""
    return (from_environment(url).database_url or "").startswith(addresses.SHARDS)
