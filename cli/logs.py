"""What the library logs, as lines on stderr while a command runs.

Loggers of the library at INFO and above tell a person what is going on: the line alone. Those at
DEBUG are for whoever looks for a fault: with the time and the logger's name, and only with -v.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spocdb.redaction import redact

from .output import complain, is_quiet, talk

LIBRARY = logging.getLogger("spocdb")
# Every SQL statement; -v alone would be nothing but these.
STATEMENTS = logging.getLogger("spocdb.db.statements")

Voice = Callable[[str], None]

_voices: list[Voice] = [talk]
_chosen: list[tuple[str, ...]] = [(f"{LIBRARY.name}.",)]


class Lines(logging.Handler):
    """Shows records to the person; all but details keep silent where quiet is wanted."""

    _detailed = logging.Formatter("%(asctime)s %(name)s: %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record by the voice that is in use now."""
        if record.levelno < logging.INFO:
            complain(redact(self._detailed.format(record)))
        elif not is_quiet() and f"{record.name}.".startswith(_chosen[-1]):
            _voices[-1](redact(self.format(record)))


@contextmanager
def shown(verbose: int) -> Iterator[None]:
    """Show what is logged in the block: 1 the steps too, 2 each SQL statement."""
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
    """Show in the block only what these loggers, and those below them, tell a person."""
    _chosen.append(tuple(f"{name}." for name in loggers))
    try:
        yield
    finally:
        _chosen.pop()


@contextmanager
def voice(say: Voice) -> Iterator[None]:
    """Let `say` show the lines in the block, such as beside a progress bar."""
    _voices.append(say)
    try:
        yield
    finally:
        _voices.remove(say)
