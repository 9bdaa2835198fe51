"""A separate process that answers one request at a time, so that a crash ends only that process.

A message is a JSON header and bytes. A request holds an image, which could take the process over,
so answers are read as numbers and text only.
"""

import json
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from spocdb import errors

# The lengths of a header and of the bytes that follow it.
LENGTHS = struct.Struct("<QQ")
# Timeout for the process to exit after its pipe has closed; then it is killed.
SECONDS_TO_DIE = 5.0

Message = tuple[dict[str, Any], bytes]


class Died(Exception):
    """The process died, or its answer is malformed; `code` is negative for a signal."""

    def __init__(self, code: int) -> None:
        self.code = code
        told = f"exit code {code}"
        super().__init__(signal.strsignal(-code) or f"signal {-code}" if code < 0 else told)


class Child:
    """A process that runs `serve` of a module; used by one thread at a time.

    Raises:
        SpocdbError: It cannot be started.
    """

    def __init__(self, module: str) -> None:
        program = f"import sys; sys.path[:] = sys.argv[1:]; from {module} import serve; serve()"
        self._process = subprocess.Popen(
            # Use this process's module path; -P keeps the current folder out of it.
            [sys.executable, "-P", "-c", program, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # Wait for the ready message: a death before it is not the fault of an image.
        try:
            _receive(self._process.stdout)
        except EOFError as exc:
            raise errors.SpocdbError(
                f"cannot start a process to decode in ({Died(self.end())}): check the memory"
            ) from exc

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def ask(self, header: dict[str, Any], data: bytes, read: Callable[..., Any]) -> Any:
        """Send a request; return what `read` makes of the answer.

        Raises:
            Died: The process died, or `read` raised ValueError, KeyError or TypeError.
        """
        try:
            _send(self._process.stdin, header, data)
            return read(*_receive(self._process.stdout))
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            raise Died(self.end()) from None

    def kill(self) -> None:
        """Kill the process, whatever it does."""
        self._process.kill()

    def end(self) -> int:
        """Close the process's pipes and wait until it exits; return its exit code."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        try:
            return process.wait(SECONDS_TO_DIE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def serve_with(answer: Callable[[dict[str, Any], bytes], Message]) -> None:
    """Answer requests from stdin until it closes."""
    # Ignore signals sent to the process group: the parent handles them and closes stdin.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # If memory runs out, Linux kills this process first.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    _send(answers, {})
    with suppress(EOFError, BrokenPipeError):
        while True:
            _send(answers, *answer(*_receive(requests)))


def _send(stream: IO[bytes] | None, header: dict[str, Any], data: bytes = b"") -> None:
    assert stream is not None
    text = json.dumps(header).encode()
    stream.write(LENGTHS.pack(len(text), len(data)))
    stream.write(text)
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> Message:
    assert stream is not None
    n_header, n_data = LENGTHS.unpack(_exactly(stream, LENGTHS.size))
    return json.loads(_exactly(stream, n_header)), _exactly(stream, n_data)


def _exactly(stream: IO[bytes], n: int) -> bytes:
    data = stream.read(n)
    if len(data) < n:
        raise EOFError
    return data
