"""SQL statements in the log, with the time that each took; at level DEBUG only."""

import logging
import re
import time
from typing import Any

import psycopg

LONGEST = 200

log = logging.getLogger(__name__)


class LoggedCursor(psycopg.Cursor[Any]):
    """Logs each statement when it is done, without its values, which may be private."""

    def execute(self, query: Any, *arguments: Any, **options: Any) -> "LoggedCursor":
        """Execute a statement."""
        began = time.monotonic()
        try:
            return super().execute(query, *arguments, **options)
        finally:
            text = query if isinstance(query, str) else query.as_string(self)
            line = re.sub(r"\s+", " ", text).strip()[:LONGEST]
            log.debug("%.1f ms: %s", 1000 * (time.monotonic() - began), line)


def cursor_factory() -> type[psycopg.Cursor[Any]]:
    """Return the class of a new connection's cursors: plain ones unless statements are logged."""
    return LoggedCursor if log.isEnabledFor(logging.DEBUG) else psycopg.Cursor
