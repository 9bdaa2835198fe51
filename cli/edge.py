"""The edge of the process: standard streams, its title, and how a command ends.

Whatever is wrong outside the program ends in one line on stderr and an exit code, never in a
traceback. A traceback is left for what is a bug.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import typer

from .output import complain
from .translation import explained

DONE, ERROR, USAGE = 0, 1, 2
# 128 and the number of SIGPIPE, as of any program whose reader has enough.
READER_GONE = 141

URL = re.compile(r"[\w.+-]+://\S+")
# user:password@host, as it is mistyped.
SECRETIVE = re.compile(r":.*@", re.DOTALL)

# Of a file that is written, spocdb says which one it is.
OF_WRITING = (errno.ENOSPC, errno.EBADF, errno.EIO, errno.EFBIG, errno.EDQUOT)

NO_MEMORY = ("not enough memory", "out of memory", "can't start new thread")


def prepare_streams() -> None:
    """Open what was handed over closed, and let data be UTF-8 whatever the terminal's encoding is.

    A closed descriptor would be given to the next file or socket, and data printed into that. Those
    that are opened here fail when they are written to, as closed ones do.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, "r", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def hide_secrets(arguments: Sequence[str]) -> None:
    """Take passwords on the command line out of the process's title, which all users can see."""
    shown = [_without_secret(argument) for argument in arguments]
    if shown != [*arguments]:
        from setproctitle import setproctitle

        setproctitle(" ".join(["spocdb", *shown]))


def _without_secret(argument: str) -> str:
    """Return an argument as anybody may see it; all of it is hidden if it cannot be parsed."""
    from spocdb.redaction import HIDDEN, redact

    shown = redact(argument)
    if shown == argument and not SECRETIVE.search(argument):
        return argument
    return shown if URL.fullmatch(argument) and shown != argument else HIDDEN


def run(command: Callable[..., Any]) -> int:
    """Run the command line; return the exit code, after a line about what was wrong."""
    try:
        return _flushed(_run(command))
    finally:
        _flush_stderr()


def _run(command: Callable[..., Any]) -> int:
    from spocdb.errors import SpocdbError

    try:
        return int(command(prog_name="spocdb", standalone_mode=False) or DONE)
    except SpocdbError as exc:
        complain(f"spocdb: {explained(exc)}")
    except SystemExit as exc:
        # Typer's way out of a broken pipe.
        if isinstance(exc.__context__, BrokenPipeError):
            return READER_GONE
        raise
    except BrokenPipeError:
        return READER_GONE
    except OSError as exc:
        if exc.filename is None and exc.errno in OF_WRITING:
            return _without_stdout(exc)
        complain(f"spocdb: {_explain(exc)}")
    except typer.Abort:
        complain("spocdb: stopped, as nothing was answered")
    except (MemoryError, RuntimeError) as exc:
        if not isinstance(exc, MemoryError) and not any(w in str(exc) for w in NO_MEMORY):
            raise
        complain("spocdb: not enough memory: free some, or take smaller batches and images")
    except Exception as exc:
        # A usage error of Click's, which Typer has within itself since 0.2x: told by its shape.
        if not hasattr(exc, "show") or not hasattr(exc, "exit_code"):
            raise
        return _show(exc)
    return ERROR


def _explain(exc: OSError) -> str:
    reason = exc.strerror or str(exc) or type(exc).__name__
    if exc.filename is not None:
        return f"{exc.filename}: {reason}: check the path, its rights and the room on its disk"
    return f"{reason}: check the disk and the network of this machine"


def _show(exc: Any) -> int:
    """Show a usage error, which quotes the command line, without the secrets in it."""
    from spocdb.redaction import redact

    text = io.StringIO()
    exc.show(file=text)
    quoted = text.getvalue()
    for argument in sys.argv[1:]:
        if (shown := _without_secret(argument)) != argument:
            quoted = quoted.replace(argument, shown)
    for line in redact(quoted).splitlines():
        complain(line)
    return int(exc.exit_code)


def _flushed(code: int) -> int:
    """Write what stdout still holds; return another exit code if that fails."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        return _without_stdout(exc)
    return _without_stdout(BrokenPipeError()) if code == READER_GONE else code


def _without_stdout(exc: OSError) -> int:
    """Say why stdout cannot be written to, unless its reader has enough; return the exit code."""
    # What is left must go somewhere, or Python complains of it at its end.
    _discard(sys.stdout.fileno())
    if isinstance(exc, BrokenPipeError):
        return READER_GONE
    complain(f"spocdb: cannot write to stdout: {exc.strerror}")
    return ERROR


def _flush_stderr() -> None:
    """Write what stderr still holds, or discard it: at its end Python would exit with 120."""
    with suppress(OSError):
        sys.stderr.flush()
        return
    # A refused flush keeps the text, and Python tries again.
    _discard(sys.stderr.fileno())


def _discard(descriptor: int) -> None:
    """Let a stream's descriptor lead to /dev/null."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, descriptor)
    os.close(sink)
