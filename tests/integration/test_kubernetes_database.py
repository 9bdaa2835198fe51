"""What the manifests for Kubernetes ask of a database: roles, schema, the length of the queue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import make_conninfo

from spocdb.db import schema
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

FOLDER = Path(__file__).parents[2] / "examples" / "kubernetes"


def manifest(file: str, kind: str) -> Any:
    documents = yaml.safe_load_all((FOLDER / file).read_text())
    return next(document for document in documents if document["kind"] == kind)


def test_a_worker_counts_the_queue_that_its_role_works_on(
    server: str,
    psql: Callable[..., Any],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    recipe: dict[str, Any],
    make_photos: Callable[..., Path],
) -> None:
    # Roles of their own, because the tests' superuser must keep its password.
    script = manifest("database.yaml", "ConfigMap")["data"]["roles.sql"]
    script = script.replace("ALTER ROLE postgres PASSWORD NULL;", "").replace(
        "spocdb", "spocdb_k8s"
    )
    query = manifest("workers.yaml", "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    monkeypatch.setenv("OWNER_PASSWORD", "it's secret")
    monkeypatch.setenv("WORKER_PASSWORD", "it's secret too")
    folder = make_photos(5)
    with psycopg.connect(server, autocommit=True) as admin:
        try:
            psql(server, script).check_returncode()
            owner = make_conninfo(server, user="spocdb_k8s", dbname="spocdb_k8s")
            schema.init(owner)
            with Database(from_environment(owner, environment)) as db:
                db.grant_worker("spocdb_k8s_worker")
                db.enqueue(folder, **recipe)
            worker = make_conninfo(owner, user="spocdb_k8s_worker")
            with psycopg.connect(worker, autocommit=True) as keda:
                assert keda.execute(query).fetchall() == [(5,)]
                # A leased image counts, and one that waits to be tried again does not.
                keda.execute("UPDATE spocdb.queue SET due_at = now() + '1 hour'")
                keda.execute(
                    "UPDATE spocdb.queue SET lease = gen_random_uuid() WHERE key LIKE '%0001.jpg'"
                )
                assert keda.execute(query).fetchall() == [(1,)]
                keda.execute("UPDATE spocdb.queue SET lease = NULL, due_at = now()")
                with Database(from_environment(worker, environment)) as db:
                    assert db.tables.work(once=True).n_new == 5
                assert keda.execute(query).fetchall() == [(0,)]
        finally:
            admin.execute("DROP DATABASE IF EXISTS spocdb_k8s WITH (FORCE)")
            admin.execute("DROP ROLE IF EXISTS spocdb_k8s")
            admin.execute("DROP ROLE IF EXISTS spocdb_k8s_worker")
