"""Show the library's log records as lines on stderr while a command runs.

Records at INFO and above are progress for the user: the message alone is printed. Records at DEBUG
are for debugging: they are printed only with -v, with the time and the logger's name.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spocdb.redaction import redact

from .output import complain, is_quiet, talk

LIBRARY = logging.getLogger("spocdb")
# Logs every SQL statement; only with -vv, as it would drown the other records.
STATEMENTS = logging.getLogger("spocdb.db.statements")

Voice = Callable[[str], None]

_voices: list[Voice] = [talk]
_chosen: list[tuple[str, ...]] = [(f"{LIBRARY.name}.",)]


class Lines(logging.Handler):
    """Prints records to stderr; with --quiet only those at DEBUG."""

    _detailed = logging.Formatter("%(asctime)s %(name)s: %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record with the current voice."""
        if record.levelno < logging.INFO:
            complain(redact(self._detailed.format(record)))
        elif not is_quiet() and f"{record.name}.".startswith(_chosen[-1]):
            _voices[-1](redact(self.format(record)))


@contextmanager
def shown(verbose: int) -> Iterator[None]:
    """Print what is logged in the block; `verbose` 1 adds DEBUG records, 2 SQL statements."""
    handler = Lines()
    levels = {
        LIBRARY: logging.DEBUG if verbose else logging.INFO,
        STATEMENTS: logging.DEBUG if verbose > 1 else logging.INFO,
    }
    before = {logger: logger.level for logger in levels}
    for logger, level in levels.items():
        logger.setLevel(level)
    LIBRARY.addHandler(handler)
    try:
        yield
    finally:
        LIBRARY.removeHandler(handler)
        for logger, level in before.items():
            logger.setLevel(level)


@contextmanager
def only(*loggers: str) -> Iterator[None]:
    """Print in the block only the INFO records of these loggers and their children."""
    _chosen.append(tuple(f"{name}." for name in loggers))
    try:
        yield
    finally:
        _chosen.pop()


@contextmanager
def voice(say: Voice) -> Iterator[None]:
    """Print the lines in the block with `say`, such as above a progress bar."""
    _voices.append(say)
    try:
        yield
    finally:
        _voices.remove(say)
