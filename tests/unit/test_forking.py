"""A forked process prints, ends and dies as one that is started does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fixtures.forking import Fork, Forked

pytestmark = pytest.mark.slow

Process = subprocess.Popen[str] | Forked
Start = Callable[..., Process]

SCRIPTS = {
    "what it is given": """
import json, os, signal, sys
handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
streams = [sys.stdin, sys.stdout, sys.stderr]
print(json.dumps([
    __name__, sys.argv, dict(os.environ), os.getcwd(), sys.stdin.read(),
    os.getpid() == os.getpgrp() == os.getsid(0),
    [str(handler) for handler in handlers], [*signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), os.umask(0),
    [[s.encoding, s.errors, s.fileno(), s.isatty(), s.seekable(), s.line_buffering, s.write_through]
     for s in streams[1:]],
]), end="")
""",
    "nothing": "",
    "an exit code": "import sys; print('out'); print('said', file=sys.stderr); sys.exit(3)",
    "a text to exit with": "raise SystemExit('said')",
    "an error": "1 / 0",
    "what comes at exit": "import atexit; atexit.register(print, 'last'); print('first')",
    "a thread to wait for": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.1), print('later'))).start(); print('first')",
    "an end without exit": "import os; os.write(1, b'out'); os._exit(9)",
    "a signal to itself": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "a crash": "import os; os.abort()",
    "a full stdout": "import os, sys\n"
    "os.dup2(os.open('/dev/full', os.O_WRONLY), 1); sys.stdout.write('lost')",
    "a child": "import subprocess, sys\n"
    "print(subprocess.run([sys.executable, '-c', 'print(1); exit(7)']).returncode, flush=True)",
}
WAIT = "import time; print('waits', flush=True); time.sleep(600)"


@pytest.fixture
def starts(fork: Fork, tmp_path: Path) -> Iterator[tuple[Start, Start]]:
    """Return two functions that start a script: by forking, and anew as a user would."""
    script, environment = tmp_path / "script.py", os.environ | {"NAMED": "by the test"}

    def write(code: str) -> None:
        # Once: the other process may be reading it.
        if not script.exists():
            script.write_text(code)

    with ExitStack() as stack:

        def forked(code: str, *arguments: str) -> Process:
            write(code)
            return stack.enter_context(fork([str(script), *arguments], environment))

        def started(code: str, *arguments: str) -> Process:
            write(code)
            return stack.enter_context(
                subprocess.Popen(
                    [sys.executable, script, *arguments],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )

        yield forked, started


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_and_ends_the_same(starts: tuple[Start, Start], script: str) -> None:
    forked, started = (start(SCRIPTS[script], "one", "two words") for start in starts)
    (out, said), (expected, expected_to_say) = (
        p.communicate(timeout=60) for p in (forked, started)
    )
    assert (out, forked.returncode) == (expected, started.returncode)
    # A traceback has lines of the nursery before those of the script.
    assert said.splitlines()[-1:] == expected_to_say.splitlines()[-1:]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
def test_a_signal_ends_it_the_same(starts: tuple[Start, Start], number: signal.Signals) -> None:
    processes = [start(WAIT) for start in starts]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == process.returncode == process.poll() == -number
        process.send_signal(number)  # it has ended: nobody gets it
    (out, said), (expected, expected_to_say) = (
        process.communicate(timeout=60) for process in processes
    )
    assert out == expected == ""
    assert said.splitlines()[-1:] == expected_to_say.splitlines()[-1:]


def test_it_waits_no_longer_than_it_may(fork: Fork, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(WAIT)
    with fork([str(tmp_path / "script.py")], os.environ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        with pytest.raises(TimeoutError):
            process.communicate(0.01)
        assert process.wait(60) == -signal.SIGKILL
    assert not Path(f"/proc/{process.pid}").exists()


def test_forks_share_no_random_numbers(fork: Fork, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import random, uuid; print(random.random(), uuid.uuid4())")
    processes = [fork([str(tmp_path / "script.py")], os.environ) for _ in range(2)]
    said = []
    for process in processes:
        with process:
            said += process.communicate(60)[0].split()
    assert len({*said}) == 4
