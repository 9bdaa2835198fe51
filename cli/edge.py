"""The edge of the process: standard streams, the process title, exit codes.

A failure outside the program ends in one line on stderr and an exit code. Only a bug ends in a
traceback.
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
# 128 plus the number of SIGPIPE, the usual exit code when the reader closes a pipe.
READER_GONE = 141

URL = re.compile(r"[\w.+-]+://\S+")
# user:password@host, even if mistyped.
SECRETIVE = re.compile(r":.*@", re.DOTALL)

EMPTY_OPTION = re.compile(r"--[a-z-]+=")

# These without a file name concern stdout: for other files spocdb names the file.
OF_WRITING = (errno.ENOSPC, errno.EBADF, errno.EIO, errno.EFBIG, errno.EDQUOT)

NO_MEMORY = ("not enough memory", "out of memory", "can't start new thread")


def open_streams() -> None:
    """Open standard streams that were inherited closed; set stdout to UTF-8 in any locale.

    Otherwise the next file or socket would get the closed descriptor, and data would be printed
    into it. The streams opened here are not writable, so that printing fails as on a closed one.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, "r", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def hide_secrets(arguments: Sequence[str]) -> None:
    """Remove passwords of the command line from the process title, which all users can see."""
    shown = [_without_secret(argument) for argument in arguments]
    if shown != [*arguments]:
        from setproctitle import setproctitle

        setproctitle(" ".join(["spocdb", *shown]))


def empty_one(arguments: Sequence[str]) -> str | None:
    """Return which argument is empty, as of a variable of a shell that is not set; None if none is.

    Nobody means one: an empty URL would be the embedded server, an empty path the current folder.
    """
    before = ""
    for number, argument in enumerate(arguments, 1):
        if not argument:
            after = before if before.startswith("-") and "=" not in before else ""
            return f"the argument after {after}" if after else f"argument {number}"
        if EMPTY_OPTION.fullmatch(argument):
            return argument
        before = argument
    return None


def _without_secret(argument: str) -> str:
    """Return an argument without its secrets; hide all of it if it cannot be parsed."""
    from spocdb.redaction import HIDDEN, redact

    shown = redact(argument)
    if shown == argument and not SECRETIVE.search(argument):
        return argument
    return shown if URL.fullmatch(argument) and shown != argument else HIDDEN


def run(command: Callable[..., Any]) -> int:
    """Run the command line; print an error as one line; return the exit code."""
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
        # How Typer exits on a broken pipe.
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
        complain("spocdb: stopped, as the question was not answered")
    except (MemoryError, RuntimeError) as exc:
        if not isinstance(exc, MemoryError) and not any(w in str(exc) for w in NO_MEMORY):
            raise
        complain("spocdb: not enough memory: free some, or take smaller batches and images")
    except Exception as exc:
        # A usage error of Click, recognised by its attributes: Typer bundles its own Click since
        # 0.2x.
        if not hasattr(exc, "show") or not hasattr(exc, "exit_code"):
            raise
        return _show(exc)
    return ERROR


def _explain(exc: OSError) -> str:
    reason = exc.strerror or str(exc) or type(exc).__name__
    if exc.filename is not None:
        return f"{exc.filename}: {reason}: check the path, its permissions and the free disk space"
    return f"{reason}: check the disk and the network of this machine"


def _show(exc: Any) -> int:
    """Print a usage error, which quotes the command line, without secrets."""
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
    """Flush stdout; return another exit code if that fails."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        return _without_stdout(exc)
    return _without_stdout(BrokenPipeError()) if code == READER_GONE else code


def _without_stdout(exc: OSError) -> int:
    """Print why stdout cannot be written, unless its reader closed it; return the exit code."""
    # Buffered text must be discarded, or Python reports the failed flush at exit.
    _discard(sys.stdout.fileno())
    if isinstance(exc, BrokenPipeError):
        return READER_GONE
    complain(f"spocdb: cannot write to stdout: {exc.strerror}")
    return ERROR


def _flush_stderr() -> None:
    """Flush stderr or discard its buffer: a failed flush at exit would give exit code 120."""
    with suppress(OSError):
        sys.stderr.flush()
        return
    # A failed flush keeps the text, and Python would retry at exit.
    _discard(sys.stderr.fileno())


def _discard(descriptor: int) -> None:
    """Redirect a stream's descriptor to /dev/null."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, descriptor)
    os.close(sink)
