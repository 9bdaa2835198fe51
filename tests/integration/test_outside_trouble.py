"""What is wrong outside the program ends each command in one line and an exit code.

Every command that there is, also one that is added tomorrow, is run within this process against
full disks, closed streams, servers that refuse, and addresses that make no sense.
"""

import importlib
import os
import re
import resource
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.fixtures.opened import Database
from tests.fixtures.program import Finished, Run

CLI = importlib.import_module("spocdb.cli")
Make = Callable[..., Path]

EXIT_CODES = {0, 1, 2, 3, 130, 141}
# Their work is not with a database, or they never end.
WITHOUT_DATABASE = {"db start", "db stop"}


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    command = command or typer.main.get_command(CLI.app)
    inner = getattr(command, "commands", {})
    if not inner:
        yield " ".join(path), command
    for name, below in inner.items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands())
WITH_DATABASE = [name for name in COMMANDS if name not in WITHOUT_DATABASE]


@pytest.fixture
def call(spocdb: Run, environment: dict[str, str], url: str) -> Run:
    """Return a function that runs a command line on the test's database, or on `db`."""

    def call(*arguments: object, db: str = url, **options: Any) -> Finished:
        return spocdb(*arguments, env=environment | {"SPOCDB_DATABASE_URL": db}, **options)

    return call


@pytest.fixture
def photos(db: Database, make_photos: Make, recipe: dict[str, Any]) -> Path:
    folder = make_photos(4)
    db.ingest(folder, **recipe)
    return folder


BY_NAME = {
    "number": "1",
    "id": "1",
    "name": "photos",
    "key": "id",
    "image": "0000.jpg",
    "table": "public.products",
    "extractor": "mini",
    "teacher": "mini",
    "out": "out.safetensors",
    "kind": "fisher",
    "gt": "gt.pkl",
}
# What would take long, and options without which a command does nothing.
MORE = {
    "search": ["0000.jpg"],
    "worker": ["--once"],
    "bench": ["photos", "--extractor", "mini", "--seconds", "0.1"],
    "detach": ["--yes"],
    "collections drop": ["--yes"],
    "pca fit": ["--dim", "2"],
    "db grant": ["--reader", "pg_monitor"],
    "train finetune": ["--epochs", "1"],
    "train distill": ["--epochs", "1"],
}


def words_for(name: str, folder: Path) -> list[str]:
    """Return a plausible command line for a command, from its parameters' names and types."""
    words = name.split()
    for parameter in COMMANDS[name].params:
        is_argument = parameter.param_type_name == "argument"
        if not (parameter.required or (is_argument and parameter.name == "paths")):
            continue
        value = BY_NAME.get(parameter.name)
        if value is None:
            value = "out.safetensors" if parameter.name == "file" else "photos"
        if parameter.name in ("folder", "paths", "gallery", "images"):
            value = str(folder)
        words += [value] if is_argument else [parameter.opts[0], value]
    more = [str(folder / w) if w == "0000.jpg" else w for w in MORE.get(name, [])]
    return [*words, *(str(folder) if w == "photos" and name == "bench" else w for w in more)]


def assert_clean(result: Finished, name: str) -> None:
    """Check that a command ended as documented: no traceback, its error in a line of its own."""
    text = result.stdout + result.stderr
    assert "Traceback" not in text and "Exception ignored" not in text, f"{name}: {text}"
    assert result.returncode in EXIT_CODES, f"{name}: {result}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("spocdb: ")]
    has_findings = name == "db doctor" and result.stdout
    assert len(errors) == (result.returncode == 1 and not has_findings), f"{name}: {result}"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line_is_made_up_for_every_command(name: str, tmp_path: Path) -> None:
    words = words_for(name, tmp_path)
    assert words[: len(name.split())] == name.split()


@pytest.fixture
def workplace(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of ingested photographs; the process works in a folder of its own."""
    monkeypatch.chdir(photos.parent)
    return photos


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
    """Passes on what a client and the server say to each other, and breaks off after a while."""

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
        """Let so many pieces pass from clients to the server, then none of any connection."""
        with self._lock:
            self._left = n_messages

    def close(self) -> None:
        """Take no more connections."""
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
    """Let no file become larger, as on a full disk."""
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


MISTYPED = [
    "postgres:/me:secret@host/db",
    "postgresql://me:sec/secret@host/db",
    "postgresql://me:se@secret@host/db",
    "postgresql://me:100%secret@host/db",
    "postgresql://me:[secret@host/db",
    "postgresql://me:what?secret@host/db",
    "postgresql://me:a secret@host/db",
    "postgresql://me:secret@[::1/db",
    "postgresql://me:secret@host:port/db",
    "postgresql://me:secret@nowhere.invalid/db",
    "postgresql://nowhere.invalid/db?user=me&password=secret",
    "mysql://me:secret@host/db",
    "me:secret@host/db",
    "password=se secret host=h",
    "host=nowhere.invalid password=secret",
    "postgresql://me:secret\n@host/db",
    "postgresql://me:secret\udce9@host/db",
    "secret",
]


def test_no_address_is_printed(call: Run) -> None:
    for address in MISTYPED:
        result = call("status", "-vv", "--db", address)
        assert_clean(result, "status")
        assert (result.returncode, result.stdout) == (1, "")
        assert "secret" not in result.stderr
        # Where it does not belong, it is not printed either.
        for words in (["status", address], [address], ["search", "a.jpg", address]):
            result = call(*words)
            assert address == "secret" or "secret" not in result.stdout + result.stderr, words


def test_no_address_is_printed_by_any_command(call: Run, workplace: Path) -> None:
    for name in WITH_DATABASE:
        result = call(*words_for(name, workplace), db=MISTYPED[0])
        assert_clean(result, name)
        assert "secret" not in (
            result.stderr if name == "db url" else result.stdout + result.stderr
        )


URLS = ["https://host/a.jpg?token=secret", "s3://bucket/photos", "gs://bucket/a", "file:///a.jpg"]


def test_a_url_in_place_of_a_file_is_said_to_be_one(call: Run, workplace: Path) -> None:
    for address, name in product(URLS, COMMANDS):
        words = words_for(name, workplace)
        files = [i for i, word in enumerate(words) if word.startswith(str(workplace))]
        for i in files:
            result = call(*words[:i], address, *words[i + 1 :])
            assert result.returncode == 2, (name, result)
            assert f"{address.partition('?')[0]}" in result.stderr
            is_file = address.startswith("file:")
            advice = ": give the path without" if is_file else ", and spocdb reads files: download"
            assert f"is a URL{advice}" in result.stderr
            assert "secret" not in result.stderr


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


def test_an_unknown_extractor_is_said_to_be_unknown(call: Run, workplace: Path) -> None:
    for words in (
        ["ingest", workplace, "-c", "new", "--extractor", "vgg91"],
        ["ingest", workplace, "--extractor", "vgg91"],
        ["reembed", "vgg91"],
    ):
        result = call(*words)
        assert_clean(result, str(words[0]))
        assert "unknown extractor 'vgg91'" in result.stderr and "mini" in result.stderr, result


def test_two_formats_at_once_are_refused(call: Run) -> None:
    both = [
        name
        for name, command in COMMANDS.items()
        if {"--json", "--csv"} <= {o for p in command.params for o in p.opts}
    ]
    assert "search" in both
    for name in both:
        result = call(*words_for(name, Path("/")), "--json", "--csv")
        assert (result.returncode, result.stdout) == (2, ""), name


def test_a_question_without_an_answer_ends_its_line(call: Run, workplace: Path) -> None:
    result = call("collections", "drop", "photos", input="")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "Drop the collection photos with 4 images? [y/N] ",
        "spocdb: no answer on stdin, so nothing was done: say --yes to do it unasked",
    ]


def test_a_dry_run_changes_nothing(call: Run, workplace: Path, db: Database) -> None:
    call("pca", "fit", "--dim", "2")
    before = (db.collections(), db.pca.list())
    assert call("collections", "drop", "photos", "--dry-run").stdout == (
        "would drop photos with 4 images\n"
    )
    assert call("pca", "drop", "2", "--dry-run").stdout == "would drop projection 2\n"
    refused = call("pca", "drop", "1", "--dry-run")
    assert refused.returncode == 1 and "stays" in refused.stderr
    assert (db.collections(), db.pca.list()) == before


def test_quiet_says_errors_alone(call: Run, workplace: Path) -> None:
    loud, quiet = (call("search", "--id", "1", *more) for more in ([], ["-q"]))
    assert (quiet.stdout, quiet.stderr) == (loud.stdout, "")
    assert loud.stderr != ""
    assert call("ingest", workplace).stderr == "4 images: 4 unchanged\n"
    silent = call("ingest", workplace, "-q")
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    assert call("-q", "status").returncode == 2
    assert call("search", "--id", "99", "-q").stderr.startswith("spocdb: ")


def test_verbose_logs_steps_and_then_statements(call: Run, workplace: Path) -> None:
    once, twice = (call("search", "--id", "1", *more) for more in (["-v"], ["-vv"]))
    assert once.stdout == twice.stdout
    assert "spocdb.db.engine: connected to" in once.stderr
    assert "SELECT" not in once.stderr
    assert re.search(r"ms: SELECT \* FROM spocdb\.similar", twice.stderr)
    assert "SELECT" not in call("search", "--id", "1").stderr
