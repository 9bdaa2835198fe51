"""Ingests of buckets, and of archives in them, by a real Ray cluster whose nodes may read them."""

from collections.abc import Callable
from pathlib import Path
from socket import gethostname

import pytest

from tests.fixtures.archived import packed, shard
from tests.fixtures.buckets import READER, Bucket
from tests.fixtures.clouds import KEY, Cloud
from tests.fixtures.opened import Database
from tests.fixtures.program import Finished, Run
from tests.fixtures.ray_nodes import RayNodes
from tests.integration.test_ray import DOUBLED, EXTRACTOR, FAILURES, ROWS, asked, counts

pytestmark = pytest.mark.slow

Make = Callable[..., Path]


def put(into: Bucket | Cloud, make_photos: Make, folder: Path) -> list[str]:
    """Store two objects, four shards and a Parquet file; return the arguments that name them."""
    for photo in make_photos(2, "alone").iterdir():
        into.put(f"alone/{photo.name}", photo.read_bytes())
    into.put("alone/bad.jpg", b"no image")
    for n in range(4):
        tar = shard(folder / f"shard-{n}.tar", make_photos(10, f"of-{n}", seed=n + 1))
        into.put(tar.name, tar.read_bytes())
    rows = packed(folder / "rows.parquet", make_photos(3, "rows", seed=9))
    into.put(rows.name, rows.read_bytes())
    return [f"{into.uri}/{name}" for name in ("alone", "shard-{0..3}.tar", "rows.parquet")]


def by_both(
    ray_nodes: RayNodes,
    db: Database,
    other: Database,
    uris: list[str],
    spocdb_process: Run,
    environment: dict[str, str],
    secret: str,
) -> None:
    """Ingest by the cluster and without it: the same is stored, and counted."""

    def ingested(into: Database, *options: str) -> Finished:
        env = environment | {"SPOCDB_DATABASE_URL": into.url}
        return spocdb_process("ingest", *uris, *EXTRACTOR, *options, "--json", env=env)

    said = [ingested(other), ingested(db, "--ray", ray_nodes.address)]
    assert [ran.returncode for ran in said] == [3, 3], said[1].stderr
    plain, distributed = (counts(ran.stdout) for ran in said)
    assert distributed == plain and (plain["n_new"], plain["n_failed"]) == (45, 1)
    for statement in (ROWS, FAILURES):
        assert asked(db, statement) == asked(other, statement)
    assert asked(db, DOUBLED) == []
    again = counts(ingested(db, "--ray", ray_nodes.address).stdout)
    assert (again["n_new"], again["n_unchanged"]) == (0, 45)
    files = [*ray_nodes.folder.glob("session_2*/logs/**/*.*")]
    assert files and not any(secret.encode() in file.read_bytes() for file in files)


def test_what_is_in_a_bucket_of_s3(
    bucket: Bucket,
    ray_nodes: RayNodes,
    db: Database,
    other: Database,
    make_photos: Make,
    tmp_path: Path,
    spocdb_process: Run,
    environment: dict[str, str],
) -> None:
    uris = put(bucket, make_photos, tmp_path)
    by_both(ray_nodes, db, other, uris, spocdb_process, environment, READER.secret)


def test_what_is_in_a_bucket_of_azure_or_google(
    cloud: Cloud,
    ray_nodes: RayNodes,
    db: Database,
    other: Database,
    make_photos: Make,
    tmp_path: Path,
    spocdb_process: Run,
    environment: dict[str, str],
) -> None:
    uris = put(cloud, make_photos, tmp_path)
    by_both(ray_nodes, db, other, uris, spocdb_process, environment, KEY)


def test_what_nodes_may_not_read_is_a_failure_that_names_them(
    bucket: Bucket,
    request: pytest.FixtureRequest,
    db: Database,
    make_photos: Make,
    tmp_path: Path,
    spocdb_process: Run,
    environment: dict[str, str],
) -> None:
    uris = put(bucket, make_photos, tmp_path)
    own = environment | {"SPOCDB_DATABASE_URL": db.url}
    environment["AWS_SECRET_ACCESS_KEY"] = "hunter2"
    ray_nodes: RayNodes = request.getfixturevalue("ray_nodes")
    ran = spocdb_process(
        *("ingest", *uris, *EXTRACTOR, "--ray", ray_nodes.address, "--json"), env=own
    )
    assert ran.returncode == 3 and counts(ran.stdout)["n_failed"] == 10
    said = str(asked(db, FAILURES))
    end = f" (by the node on {gethostname()}, with its own credentials)"
    assert said.count("access is denied (HTTP 403") == said.count(end) == 10, said
    for secret in ("hunter2", READER.secret, READER.key):
        assert secret not in said + ran.stderr
