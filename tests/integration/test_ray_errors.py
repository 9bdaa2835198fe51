"""What goes wrong with a Ray cluster is one line. What its nodes do, called without Ray."""

import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from spocdb.api.engine import Engine
from spocdb.distributed import cluster
from spocdb.distributed.actor import Actor, Job, Order, Share, own_version
from spocdb.distributed.units import Unit
from spocdb.errors import ConfigError, DatabaseLost, SpocdbError
from spocdb.pipeline.options import Options
from spocdb.progress import Progress
from spocdb.records import EVERYTHING, ImageRef
from spocdb.sources.opening import opened
from spocdb.storing import StoringOptions
from tests.fixtures.archived import shard
from tests.fixtures.opened import Database
from tests.fixtures.program import Finished, Run

Make = Callable[..., Path]
Recipe = dict[str, Any]
HINT = "name its head as HOST:PORT, and run the ingest on a machine of the cluster"
SHARE = Share(1, 1)


@pytest.fixture
def listening() -> Iterator[int]:
    """Return a port that is listened at, by nothing of Ray."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def ingest(spocdb: Run, make_photos: Make, db: Database) -> Callable[..., Finished]:
    """Return a function that runs an ingest, which has to fail before it changes anything."""

    def run(*options: str) -> Finished:
        done = spocdb("ingest", make_photos(1), "--extractor", "mini", *options)
        assert done.returncode in (1, 2)
        assert db.connection.execute("SELECT FROM spocdb.collections").fetchall() == []
        return done

    return run


def test_without_ray_the_extra_is_named(
    ingest: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert ingest("--ray", "auto").stderr == (
        "spocdb: ingesting on a Ray cluster needs a package: pip install 'spocdb[ray]'\n"
    )


def test_nothing_that_listens_is_one_line(
    ingest: Callable[..., Finished], listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    done = ingest("--ray", f"127.0.0.1:{closed}")
    assert (done.returncode, done.stderr) == (
        1,
        f"spocdb: no Ray cluster answers at 127.0.0.1:{closed} (Connection refused): {HINT}\n",
    )
    # What listens there says nothing.
    monkeypatch.setattr(cluster, "SECONDS_TO_CONNECT", 1.0)
    done = ingest("--ray", f"127.0.0.1:{listening}")
    assert (done.returncode, done.stderr) == (
        1,
        f"spocdb: no Ray cluster answers at 127.0.0.1:{listening} within 1 s: {HINT}\n",
    )


@pytest.mark.parametrize("address", ["ray://head:10001", "local", "head", "head:6379/x", ":6379"])
def test_an_address_of_another_form_is_refused(
    ingest: Callable[..., Finished], address: str
) -> None:
    done = ingest("--ray", address)
    assert done.stderr == f"spocdb: --ray must be HOST:PORT or auto, not {address}: {HINT}\n"


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("--prune", "ingest with it afterwards, without --ray"),
        ("--moves", "nodes do not look for moved files"),
        ("--enqueue", "workers take what is in the queue"),
    ],
)
def test_options_that_a_cluster_has_no_use_for_are_refused(
    ingest: Callable[..., Finished], option: str, advice: str
) -> None:
    done = ingest("--ray", "auto", option)
    assert done.returncode == 2
    said = " ".join(done.stderr.replace("│", " ").split())
    assert advice in said


def test_what_a_cluster_cannot_do_is_refused_in_python(db: Database, make_photos: Make) -> None:
    with pytest.raises(ConfigError, match="prune is not for a Ray cluster"):
        db.ingest(make_photos(1), ray="auto", prune=True)
    with pytest.raises(ConfigError, match="device must be auto, cpu or cuda on a Ray cluster"):
        db.ingest(make_photos(1), ray="auto", device="cuda:1")


def job(db: Database, url: str | None = None, files: Sequence[str] = ()) -> bytes:
    limits = db.settings.limits
    order = Order(
        *(Engine, url or db.url, EVERYTHING, limits.max_pixels, limits.max_bytes, False),
        *(files, "auto", "float32"),
    )
    options = StoringOptions(Options(limits, thumbnails=True), moves=False)
    return pickle.dumps(Job(order, "photos", options))


@pytest.fixture
def actor(db: Database, make_photos: Make, recipe: Recipe) -> Actor:
    """Return an actor that is open; its collection has an image of another folder."""
    db.ingest(make_photos(1, "first", seed=9), **recipe)
    actor = Actor()
    assert actor.open(own_version(), job(db), SHARE) is None
    return actor


def stored(answer: Progress | SpocdbError) -> tuple[int, int, int, int]:
    assert isinstance(answer, Progress), answer
    return answer.n_seen, answer.n_new, answer.n_unchanged, answer.n_failed


def test_a_node_with_another_version_reads_nothing_of_the_job() -> None:
    refused = Actor().open("0.0.1", b"no pickle", SHARE)
    assert isinstance(refused, ConfigError)
    assert str(refused) == (
        f"{socket.gethostname()}: spocdb {own_version()} is installed, and 0.0.1 where the ingest "
        "runs: install the same version on all machines"
    )


def test_a_node_without_the_database_or_a_file_says_so_with_its_name(
    db: Database, listening: int, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    nowhere = f"postgresql://me:hunter2@127.0.0.1:{closed}/shop"
    refused = Actor().open(own_version(), job(db, nowhere), SHARE)
    assert isinstance(refused, DatabaseLost)
    assert str(refused).startswith(f"{socket.gethostname()}: ")
    assert "hunter2" not in str(refused) + repr(pickle.loads(job(db, nowhere)))
    missing = Actor().open(own_version(), job(db, files=[str(tmp_path / "w.pth")]), SHARE)
    assert isinstance(missing, ConfigError) and "cannot read the weights" in str(missing)


def test_a_file_that_the_node_does_not_see_is_a_failure_with_its_name(
    actor: Actor, db: Database, make_photos: Make
) -> None:
    refs = [*opened([make_photos(2)]).refs(), ImageRef("/elsewhere/a.jpg", "1 1", 1)]
    assert stored(actor.store(Unit(refs))) == (0, 2, 0, 1)
    (failure,) = db.failures()
    assert (failure.path, failure.reason) == ("/elsewhere/a.jpg", "ImageVanished")
    assert failure.message.endswith(
        f"(by the node on {socket.gethostname()}: nodes need it under the same path)"
    )


def test_what_a_lost_process_stored_is_not_read_again_and_counts_once(
    actor: Actor, db: Database, make_photos: Make
) -> None:
    refs = [*opened([make_photos(6)]).refs()]
    assert stored(actor.store(Unit(refs[:4]))) == (0, 4, 0, 0)
    Path(refs[0].name).write_bytes(b"it would fail if it was read")
    assert stored(actor.store(Unit(refs, n_lost=1))) == (0, 6, 0, 0)
    # After two lost processes images are decoded apart, which makes no thumbnails.
    apart = [*opened([make_photos(2, "apart", seed=5)]).refs()]
    assert stored(actor.store(Unit(apart, n_lost=2))) == (0, 2, 0, 0)
    ((n,),) = db.connection.execute("SELECT count(*) FROM spocdb.thumbnails")
    assert n == 1 + 6


def test_an_archive_is_opened_by_the_node_and_counts_as_its_images(
    actor: Actor, db: Database, make_photos: Make, tmp_path: Path
) -> None:
    packed = shard(tmp_path / "s.tar", make_photos(3))
    assert stored(actor.store(Unit(archive=str(packed)))) == (3, 3, 0, 0)
    assert stored(actor.store(Unit(archive=str(packed), n_lost=1))) == (3, 0, 3, 0)
    whole = packed.read_bytes()
    packed.write_bytes(whole[:1000])
    assert stored(actor.store(Unit(archive=str(packed))))[3] == 1
    packed.write_bytes(whole)
    assert stored(actor.store(Unit(archive=str(packed))))[3] == 0
    assert [*db.failures()] == []


def test_an_error_that_ends_the_run_comes_back_with_the_name_of_the_node(
    actor: Actor, db: Database, make_photos: Make
) -> None:
    db.drop("photos")
    answer = actor.store(Unit([*opened([make_photos(1)]).refs()]))
    assert isinstance(answer, SpocdbError)
    assert str(answer).startswith(f"{socket.gethostname()}: ")
