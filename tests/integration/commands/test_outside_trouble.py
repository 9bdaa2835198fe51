"""Failures outside the program end each command with one line and an exit code.

Every command, also a new one, runs in this process against full disks, closed streams, servers
that refuse, and invalid addresses.
"""

import os
import resource
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.fixtures.program import Run
from tests.integration.commands.lines import WITH_DATABASE, assert_clean, words_for


def test_a_full_disk_behind_stdout(call: Run, workplace: Path) -> None:
    for words in (
        ["search", "--id", "1", "--json"],
        ["search", "--id", "1", "--csv"],
        ["search", "--id", "1"],
        ["collections", "list"],
        ["db", "upgrade", "--sql"],
        ["extractors", "--json"],
        ["--version"],
        ["ingest", "--help"],
    ):
        result = call(*words, stdout="/dev/full")
        said = result.stderr.splitlines()[-1:]
        assert said == ["spocdb: cannot write to stdout: No space left on device"], words
        assert_clean(result, " ".join(words))
    for name in WITH_DATABASE:
        assert_clean(call(*words_for(name, workplace), stdout="/dev/full"), name)


SERVERS = {
    "read only": "-c default_transaction_read_only=on",
    "time-out": "-c statement_timeout=1",
    "role": "-c role=nobody_at_all",
}


@pytest.mark.parametrize("trouble", SERVERS)
def test_a_server_that_refuses(call: Run, workplace: Path, url: str, trouble: str) -> None:
    refusing = make_conninfo(url, options=SERVERS[trouble])
    for name in WITH_DATABASE:
        assert_clean(call(*words_for(name, workplace), db=refusing), name)


def test_a_role_without_rights_is_told_of_db_grant(
    call: Run, workplace: Path, url: str, server: str
) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    stranger = make_conninfo(url, options="-c role=stranger")
    told = 0
    try:
        for name in WITH_DATABASE:
            result = call(*words_for(name, workplace), db=stranger)
            assert_clean(result, name)
            told += "spocdb db grant" in result.stderr
        assert told > len(WITH_DATABASE) / 2
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("DROP ROLE stranger")


def test_a_server_that_is_not_there(call: Run, workplace: Path) -> None:
    nowhere = f"postgresql:///db?host={workplace}"
    for name in WITH_DATABASE:
        result = call(*words_for(name, workplace), db=nowhere)
        assert_clean(result, name)
        if name != "db url":
            assert result.returncode in (1, 2), name


class Proxy:
    """A proxy between client and server that breaks its connections after a number of packets."""

    def __init__(self, server: str, folder: Path) -> None:
        self.url = make_conninfo(server, host=str(folder), port=5432, sslmode="disable")
        self._server = conninfo_to_dict(server)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/.s.PGSQL.5432")
        self._listener.listen()
        self._left = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def break_after(self, n_messages: int) -> None:
        """Forward this many packets from clients to the server, then break every connection."""
        with self._lock:
            self._left = n_messages

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=[client], daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, self._connect() as server, suppress(OSError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    if not data or (source is client and not self._may_pass()):
                        return
                    (server if source is client else client).sendall(data)

    def _connect(self) -> socket.socket:
        host, port = str(self._server["host"]), int(self._server.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _may_pass(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="spocdb-proxy-") as folder:
        made = Proxy(url, Path(folder))
        yield made
        made.close()


@pytest.mark.parametrize("n_messages", [1, 8])
def test_a_network_that_breaks_off(
    call: Run, workplace: Path, proxy: Proxy, n_messages: int
) -> None:
    for name in WITH_DATABASE:
        proxy.break_after(n_messages)
        assert_clean(call(*words_for(name, workplace), db=proxy.url), name)


@contextmanager
def small_files(n_bytes: int) -> Iterator[None]:
    """Limit the size of files, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_by_now(call: Run, workplace: Path, tmp_path: Path) -> None:
    assert call("pca", "fit", "--dim", "3").returncode == 0
    other = ["--size", "128", "-c", "other"]
    for words, file in (
        (["search", "--id", "1", "--sheet", "a.png"], "a.png"),
        (["pca", "show", "2", "--plot", "b.png"], "b.png"),
        (["pca", "export", "2", "c.safetensors"], "c.safetensors"),
        (["pca", "export", "2", "d.npz"], "d.npz"),
        (["codebook", "fit", workplace, "e.safetensors", "-k", "2", "--extractor", "mini"], "e."),
        (["ingest", workplace, "--extractor", "mini", *other], "cache"),
    ):
        if file == "cache":
            shutil.rmtree(tmp_path / "cache")
        with small_files(2000):
            result = call(*words)
        assert_clean(result, " ".join(map(str, words)))
        assert result.returncode == 1 and file in result.stderr, (words, result)
        assert not [left for left in tmp_path.glob(f"{file[:2]}*") if left.is_file()], words
    assert not [left for left in (tmp_path / "cache").rglob("*") if left.is_file()]


def test_files_that_cannot_be_written(call: Run, workplace: Path, tmp_path: Path) -> None:
    full = tmp_path / "full.png"
    os.symlink("/dev/full", full)
    call("pca", "fit", "--dim", "2", "--activate")
    for words in (
        ["search", "--id", "1", "--sheet", full],
        ["pca", "show", "2", "--plot", full],
        ["pca", "export", "2", tmp_path / "nowhere" / "a.npz"],
        ["search", "--id", "1", "--sheet", tmp_path / "nowhere" / "a.png"],
        ["pca", "import", tmp_path],
        ["ingest", workplace, "--metadata", tmp_path],
        ["search", workplace],
        ["ingest", workplace, "-c", "b", "--extractor", "vgg16", "--weights", tmp_path],
        ["ingest", workplace, "-c", "b", "--extractor", "vgg16", "--weights", "/dev/null"],
        ["ingest", workplace, "-c", "b", "--extractor", "mini", "--codebook", tmp_path],
    ):
        result = call(*words)
        assert_clean(result, " ".join(map(str, words)))
        assert result.returncode == 1, (words, result)


def test_a_cache_that_cannot_be_written(
    call: Run, photos: Path, environment: dict[str, str]
) -> None:
    call("status")
    environment["SPOCDB_CACHE_DIR"] = str(photos / "0000.jpg" / "cache")
    result = call("ingest", photos, "-c", "new", "--extractor", "mini")
    assert_clean(result, "ingest")
    assert result.returncode == 1 and "set SPOCDB_CACHE_DIR" in result.stderr
