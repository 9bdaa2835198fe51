"""Opening a database for a program: engine and Database in one step."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

from spocdb.api.database import Database
from spocdb.api.engine import POOL_SIZE, Engine
from spocdb.db import embedded
from spocdb.errors import DatabaseError
from spocdb.settings import Settings, from_environment


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
