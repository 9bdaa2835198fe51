"""`spocdb serve` as a process: it says where it is, finishes what it does, and refuses clearly."""

import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.opened import Database
from tests.fixtures.program import Run, Start

ADDRESS = "serving http://"


@pytest.mark.slow
def test_it_answers_and_on_sigterm_finishes_what_it_is_doing(
    gallery: Database, photos: Path, program: Path, start_process: Start
) -> None:
    process = start_process(program, "serve", "--port=0", "--db", gallery.url)
    assert process.stderr
    line = process.stderr.readline().strip()
    assert line.startswith(ADDRESS), line
    with httpx.Client(base_url=line.removeprefix("serving "), timeout=60) as client:
        assert client.get("/healthz").status_code == 200
        statuses: list[int] = []

        def search() -> None:
            data = (photos / "07.jpg").read_bytes()
            path = "/api/v1/collections/photos/search"
            statuses.append(client.post(path, content=data).status_code)

        thread = threading.Thread(target=search)
        thread.start()
        while "running 1.0" not in client.get("/metrics").text and thread.is_alive():
            pass
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert statuses == [200]
    output = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, ("", "stopped\n"))


def test_a_port_in_use_is_one_line(spocdb: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = spocdb("serve", f"--port={port}")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        f"spocdb: cannot listen on 127.0.0.1:{port}: Address already in use: "
        "choose another --port or --host 127.0.0.1\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host=0.0.0.0"], "reachable from other machines: give a token with --token-file FILE"),
        (["--token-file=none"], "cannot read none: No such file or directory"),
        (["--token-file=short"], "token must be at least 16 characters, not 6"),
        (["--names=a b"], "--names must be an IP address or a name in DNS, not 'a b'"),
        (["--collections=none"], "there is no collection"),
        (["--host=no.such.host.invalid", "--token-file=long"], "cannot listen on no.such.host"),
    ],
)
def test_what_cannot_be_served_is_refused(
    spocdb: Run, tmp_path: Path, arguments: list[Any], message: str
) -> None:
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "long").write_text("a token of 24 characters\n")
    run = spocdb("serve", "--port=0", *arguments, cwd=tmp_path)
    assert run.returncode == 1
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert "secret" not in run.stderr
