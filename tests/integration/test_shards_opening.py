"""Servers that do not belong together, or not in this order; the file that names them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from spocdb import (
    CollectionNotFound,
    ConfigError,
    DatabaseLost,
    SchemaOutOfDate,
    Shards,
    connect,
    connect_shards,
)
from spocdb.settings import Settings, from_environment
from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.fixtures.sharded import IMAGES, rows_of

Make = Callable[..., Path]
Recipe = dict[str, Any]


@pytest.fixture
def settings(shard_urls: list[str], environment: dict[str, str]) -> Settings:
    return from_environment(shard_urls[0], environment)


@pytest.fixture
def file(shard_urls: list[str], tmp_path: Path) -> Path:
    """Return a file that names the three databases."""
    made = tmp_path / "servers"
    made.write_text("# three\n\n" + "\n".join(shard_urls) + "\n")
    return made


def test_another_order_or_number_is_refused(
    shards: Shards, shard_urls: list[str], settings: Settings, make_photos: Make, recipe: Recipe
) -> None:
    folder = make_photos(12)
    shards.ingest(folder, **recipe)
    a, b, c = shard_urls
    for others in ((b, a, c), (c, a, b), (a, b), (b, c)):
        with connect_shards(*others, settings=settings) as wrong:
            for call in (wrong.count, lambda: wrong.ingest(folder), lambda: wrong.gone(folder)):
                with pytest.raises(ConfigError, match=r"^server \d of \d: .*\.jpg of collection p"):
                    call()
    with pytest.raises(ConfigError, match="server 1 of 3 and server 3 of 3 are one database"):
        connect_shards(a, b, a, settings=settings)


def test_a_collection_that_a_server_lacks(
    shards: Shards, parts: list[Database], make_photos: Make, recipe: Recipe
) -> None:
    """An ingest that is killed while it makes the collection leaves it so."""
    with pytest.raises(CollectionNotFound, match=r"^server 1 of 3: there is no collection yet"):
        shards.count()
    folder = make_photos(12)
    shards.ingest(folder, **recipe)
    before = rows_of(parts, IMAGES)
    for lacking in (2, 0):
        parts[lacking].drop("photos")
        with pytest.raises(CollectionNotFound):
            shards.search(folder / "0001.jpg")
        assert shards.preview(folder).n_new == 12
        # The extractor is that of the others, whatever is the default.
        shards.ingest(folder)
        assert rows_of(parts, IMAGES) == before
    assert len(shards.search(folder / "0001.jpg", 100)) == 12


def test_a_server_that_is_not_there_or_not_set_up(
    shard_urls: list[str], settings: Settings, empty_url: str
) -> None:
    a, b, _ = shard_urls
    nowhere = "postgresql://me:s3cret@127.0.0.1:1/photos"
    with pytest.raises(DatabaseLost, match=r"^server 2 of 2: cannot reach the d(?!.*s3cret)"):
        connect_shards(a, nowhere, settings=settings)
    with pytest.raises(SchemaOutOfDate, match=r"^server 3 of 3: "):
        connect_shards(a, b, empty_url, settings=settings)


def test_a_server_that_is_lost(
    shards: Shards,
    shard_urls: list[str],
    admin: psycopg.Connection,
    make_photos: Make,
    recipe: Recipe,
) -> None:
    folder = make_photos(12)
    shards.ingest(folder, **recipe)
    name = psycopg.conninfo.conninfo_to_dict(shard_urls[1])["dbname"]
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
    )
    for call in (
        lambda: shards.search(folder / "0001.jpg"),
        lambda: shards.search(folder / "0001.jpg", None, max_distance=0.1),
        shards.count,
        shards.collections,
        lambda: list(shards.images()),
        lambda: list(shards.failures()),
        lambda: shards.ingest(folder),
        lambda: shards.delete(filter={"kind": "shoe"}),
        lambda: shards.pca.fit(dim=4),
        shards.check,
    ):
        with pytest.raises(DatabaseLost, match=r"^server 2 of 3: "):
            call()
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert shards.count() == 12


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "cannot read .*servers: No such file"),
        ("# none\n", "servers names no server"),
        ("postgresql://a@b@c/d", "^server 1 of 1: the database's address .* is malformed"),
    ],
)
def test_a_file_that_names_no_servers(
    tmp_path: Path, settings: Settings, written: str | None, said: str
) -> None:
    if written is not None:
        (tmp_path / "servers").write_text(written)
    with pytest.raises(ConfigError, match=said):
        connect_shards(f"shards:{tmp_path}/servers", settings=settings)


def test_the_commands(
    spocdb: Run,
    file: Path,
    environment: dict[str, str],
    make_photos: Make,
    url: str,
) -> None:
    folder = make_photos(20)
    env = environment | {"SPOCDB_DATABASE_URL": f"shards:{file}"}

    def said(*arguments: object) -> str:
        done = spocdb(*arguments, env=env)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    assert said("db", "init").count("schema spocdb at") == 3
    assert said("db", "current").count("newest") == 3
    assert "would read 20 files" in said("ingest", folder, "--dry-run")
    said("ingest", folder, "--extractor", "mini", "--size", "64")
    assert "20" in said("collections", "list")
    lines = said("search", folder / "0003.jpg", "-k", "3", "--exact").splitlines()
    assert len(lines) == 4
    id = lines[1].split()[1]
    assert "0003.jpg" in said("images", "show", id)
    assert said("search", "--id", id, "-k", "2").count(".jpg") == 2
    assert said("images", "list").count(".jpg") == 20
    said("pca", "fit", "--dim", "8", "--activate")
    assert "pca" in said("pca", "list")
    assert "recall@10" in said("index", "measure")
    assert "deleted 1 image" in said("images", "delete", id, "--yes")
    assert said("failures") == ""
    said("pca", "rollback")
    assert "dropped photos" in said("collections", "drop", "photos", "--yes")
    # Others work on one server, which a line says; --db names it.
    for one in (("status",), ("duplicates", "find"), ("db", "doctor"), ("serve",), ("db", "url")):
        done = spocdb(*one, env=env)
        assert done.returncode == 1
        assert done.stderr.startswith("spocdb: the address names several servers, and this works o")
        assert "`--db ...`" not in done.stderr
        assert len(done.stderr.splitlines()) == 1
    done = spocdb("search", "--key", "1", env=env)
    assert done.returncode == 2
    assert "tables are attached on one server" in done.stderr


def test_one_database_does_not_take_several_servers(file: Path, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="names several servers"):
        connect(f"shards:{file}")
    from dataclasses import replace

    from spocdb import Engine

    with pytest.raises(ConfigError, match="names several servers"):
        Engine(replace(settings, database_url=f"shards:{file}"))
