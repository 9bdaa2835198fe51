"""Opening a database for a program: engine and Database in one step."""

from dataclasses import replace

from spocdb.api.database import Database
from spocdb.api.engine import POOL_SIZE, Engine
from spocdb.db import embedded
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
    if found.database_url is None:
        found = replace(found, database_url=embedded.upgraded(found.data_dir))
    engine = Engine(found, pool_size=pool_size, statement_seconds=statement_seconds)
    return Database(engine, closes_engine=True)
