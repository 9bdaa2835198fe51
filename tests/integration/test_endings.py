"""SIGTERM and Ctrl-C end a command within seconds, also while it waits."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb.db.attachments import Attachment
from tests.fixtures.opened import Database
from tests.fixtures.program import Start, StartProcess
from tests.fixtures.waiting import WaitForLock, WaitUntil

# Timeout after which a test fails because its process has not ended.
SECONDS = 60
INTERRUPTED = 130

pytestmark = pytest.mark.slow


def ticks_of_work(process: "subprocess.Popen[str]") -> int:
    """Return the processor time of a process in user mode, in hundredths of a second."""
    about = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2]
    return int(about.split()[11])


PROGRAM = """
import hashlib, importlib, os, sys, threading
from spocdb.pipeline.prefetch import threads
signals = importlib.import_module("spocdb.cli.signals")
signals.SECONDS_TO_END = 0.5
with signals.ending_soon():
    try:
        {wait}
    except KeyboardInterrupt:
        sys.exit(130)
"""

WAITS = {
    # A computation of hours in C, during which Python runs no signal handler.
    "the main thread computes": 'print("waits", flush=True); '
    'hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)',
    # Opening a pipe without a writer blocks, as reading from a mount that is gone does.
    "a thread of a pool is stuck": "ready = threading.Event()\n"
    '        with threads(1, "stuck") as pool:\n'
    '            stuck = pool.submit(open, os.environ["PIPE"])\n'
    '            print("waits", flush=True); stuck.result()',
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("wait", WAITS)
def test_one_signal_ends_a_process_that_is_stuck(
    tmp_path: Path,
    start_process: StartProcess,
    wait_until: WaitUntil,
    wait: str,
    number: signal.Signals,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    process = start_process(
        sys.executable, "-c", PROGRAM.format(wait=WAITS[wait]), PIPE=str(tmp_path / "pipe")
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    before = ticks_of_work(process)
    wait_until(lambda: "computes" not in wait or ticks_of_work(process) > before + 10, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == INTERRUPTED, said
    assert "Traceback" not in said


IMPORTED = """
import importlib.abc, os, runpy, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "spocdb.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
runpy.run_module("spocdb", run_name="__main__")
"""

FINALIZED = """
import importlib, os, signal, sys
signals = importlib.import_module("spocdb.cli.signals")

class Late:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

with signals.ending_soon():
    Late()
    sys.exit(130)
"""


@pytest.mark.parametrize(("program", "code"), [(IMPORTED, -signal.SIGINT), (FINALIZED, 130)])
def test_no_moment_of_an_interruption_gives_a_traceback(program: str, code: int) -> None:
    """Neither while the command line is imported, nor where Python cannot raise an exception."""
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        # A shell starts jobs in the background with SIGINT ignored, and children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        timeout=SECONDS,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (code, "", "")


def test_an_ingest_that_waits_for_a_lock_ends_and_writes_nothing_later(
    db: Database,
    start_spocdb: Start,
    wait_for_lock: WaitForLock,
    recipe: dict[str, Any],
    make_photos: Callable[..., Path],
) -> None:
    db.ingest(make_photos(1, "first"), **recipe)
    folder = make_photos(3, seed=1)
    # The lock blocks writes but not reads, so only the writing thread waits.
    with psycopg.connect(db.url) as holder:
        holder.execute("LOCK TABLE spocdb.descriptors IN EXCLUSIVE MODE")
        process = start_spocdb("ingest", folder, SPOCDB_DATABASE_URL=db.url)
        wait_for_lock(db.connection)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == INTERRUPTED, said
        assert said.splitlines()[-1].startswith("interrupted; what was written stays")
        # The command has cancelled its statement: the server does not notice by itself that a
        # client is gone while its session waits for a lock.
        wait_for_lock(db.connection, 0)
        holder.rollback()
    statuses = db.connection.execute("SELECT status FROM spocdb.runs ORDER BY id").fetchall()
    assert statuses == [("finished",), ("interrupted",)]
    assert db.connection.execute("SELECT count(*) FROM spocdb.images").fetchone() == (1,)
    assert db.ingest(folder).n_new == 3


def test_a_command_that_waits_for_a_lock_in_the_main_thread_ends(
    db: Database,
    start_spocdb: Start,
    wait_for_lock: WaitForLock,
    recipe: dict[str, Any],
    make_photos: Callable[..., Path],
) -> None:
    db.ingest(make_photos(1), **recipe)
    with psycopg.connect(db.url) as holder:
        holder.execute("SELECT FROM spocdb.collections FOR UPDATE")
        process = start_spocdb("collections", "drop", "photos", "--yes", SPOCDB_DATABASE_URL=db.url)
        wait_for_lock(db.connection)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (INTERRUPTED, "interrupted; nothing more was done\n")
    assert [c.name for c in db.collections()] == ["photos"]


def test_a_worker_that_waits_for_a_silent_server_ends_and_gives_its_rows_back(
    db: Database, start_spocdb: Start, recipe: dict[str, Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/photo.jpg"
        db.connection.execute("CREATE TABLE shop (id integer PRIMARY KEY, photo text)")
        db.connection.execute("INSERT INTO shop VALUES (1, %s)", [url])
        attachment = Attachment("public.shop", "id", "photo", urls=True, allow_private=True)
        db.tables.attach(attachment, **recipe)
        process = start_spocdb("worker", SPOCDB_DATABASE_URL=db.url)
        accepted, _ = server.accept()
        with accepted:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == INTERRUPTED, said
    assert "Traceback" not in said
    queue = db.connection.execute("SELECT key, lease, attempts FROM spocdb.queue").fetchall()
    assert queue == [("1", None, 0)]
