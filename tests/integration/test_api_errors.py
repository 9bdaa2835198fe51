"""Every method of the API raises only SpocdbError, whatever happens to the server."""

import inspect
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import spocdb
from spocdb.api.statements import Statements
from spocdb.db import embedded
from spocdb.settings import Settings, from_environment

pytestmark = pytest.mark.slow

# A call of each public method; generators are exhausted.
CALLS: dict[str, Callable[[spocdb.Database, Path], object]] = {
    "ingest": lambda db, folder: db.ingest(folder, extractor="mini", size=64),
    "enqueue": lambda db, folder: db.enqueue(
        folder, collection="queued", extractor="mini", size=64
    ),
    "gone": lambda db, folder: db.gone(folder),
    "preview": lambda db, folder: db.preview(folder),
    "ingest_beside": lambda db, folder: db.ingest_beside(folder),
    "reembed": lambda db, folder: db.reembed("mini", size=96),
    "search": lambda db, folder: db.search(folder / "0000.jpg"),
    "embed": lambda db, folder: db.embed(folder / "0000.jpg"),
    "similar": lambda db, folder: db.similar(1),
    "images": lambda db, folder: list(db.images()),
    "embeddings": lambda db, folder: db.embeddings(),
    "image": lambda db, folder: db.image(1),
    "count": lambda db, folder: db.count(),
    "path": lambda db, folder: db.path(1),
    "reader": lambda db, folder: db.reader(),
    "content": lambda db, folder: db.content(1),
    "read": lambda db, folder: db.read(1),
    "thumbnail": lambda db, folder: db.thumbnail(1),
    "picture": lambda db, folder: db.picture(1),
    "newest": lambda db, folder: db.newest(),
    "facets": lambda db, folder: db.facets(),
    "check": lambda db, folder: db.check(),
    "sizes": lambda db, folder: db.sizes([1]),
    "sql.newest": lambda db, folder: db.sql.newest(),
    "sql.similar": lambda db, folder: db.sql.similar(1),
    "sql.search": lambda db, folder: db.sql.search(np.ones(256, np.float32)),
    "delete": lambda db, folder: db.delete(1),
    "move": lambda db, folder: db.move(folder, "/elsewhere"),
    "map": lambda db, folder: db.map(method="components"),
    "duplicates.calibrate": lambda db, folder: db.duplicates.calibrate(images=2, precision=0.5),
    "duplicates.thresholds": lambda db, folder: db.duplicates.thresholds(),
    "duplicates.asked": lambda db, folder: db.duplicates.asked(),
    "duplicates.find": lambda db, folder: db.duplicates.find(),
    "duplicates.summary": lambda db, folder: db.duplicates.summary(),
    "duplicates.groups": lambda db, folder: list(db.duplicates.groups()),
    "duplicates.group": lambda db, folder: db.duplicates.group(1),
    "duplicates.decide": lambda db, folder: db.duplicates.decide(1, 2, "same"),
    "duplicates.decisions": lambda db, folder: db.duplicates.decisions(),
    "duplicates.verdicts": lambda db, folder: db.duplicates.verdicts([(1, 2)]),
    "duplicates.take_over": lambda db, folder: db.duplicates.take_over(),
    "duplicates.export": lambda db, folder: db.duplicates.export(folder.parent / "a.csv"),
    "review.groups": lambda db, folder: db.review.groups(),
    "review.group": lambda db, folder: db.review.group(1),
    "review.count": lambda db, folder: db.review.count(),
    "review.keep": lambda db, folder: db.review.keep({1: []}),
    "describe_map": lambda db, folder: db.describe_map(),
    "maps": lambda db, folder: db.maps(),
    "map_points": lambda db, folder: db.map_points(),
    "map_version": lambda db, folder: db.map_version(),
    "export": lambda db, folder: db.export(folder.parent / "photos.parquet"),
    "collections": lambda db, folder: db.collections(),
    "collection": lambda db, folder: db.collection(),
    "describe": lambda db, folder: db.describe(),
    "drop": lambda db, folder: db.drop("photos"),
    "failures": lambda db, folder: list(db.failures()),
    "evaluations": lambda db, folder: db.evaluations(),
    "extractors": lambda db, folder: db.extractors(),
    "recipe": lambda db, folder: db.recipe("mini"),
    "extractor": lambda db, folder: db.extractor("mini"),
    "learn_codebook": lambda db, folder: db.learn_codebook(
        folder, folder.parent / "codebook.safetensors", extractor="mini"
    ),
    "quantize": lambda db, folder: db.quantize(
        folder, folder.parent / "int8.safetensors", extractor="mini"
    ),
    "grant_reader": lambda db, folder: db.grant_reader("pg_monitor"),
    "grant_worker": lambda db, folder: db.grant_worker("pg_monitor"),
    "grant_owner": lambda db, folder: db.grant_owner("pg_monitor"),
    "pca.fit": lambda db, folder: db.pca.fit(dim=2),
    "pca.versions": lambda db, folder: db.pca.versions(),
    "pca.list": lambda db, folder: db.pca.list(),
    "pca.show": lambda db, folder: db.pca.show(1),
    "pca.activate": lambda db, folder: db.pca.activate(2),
    "pca.augment": lambda db, folder: db.pca.augment(),
    "pca.rollback": lambda db, folder: db.pca.rollback(),
    "pca.export": lambda db, folder: db.pca.export(2, folder.parent / "2.npz"),
    "pca.import_": lambda db, folder: db.pca.import_(folder.parent / "before.npz"),
    "pca.drop": lambda db, folder: db.pca.drop(2),
    "index.build": lambda db, folder: db.index.build(),
    "index.measure": lambda db, folder: db.index.measure(),
    "index.status": lambda db, folder: db.index.status(),
    "tables.attach": lambda db, folder: db.tables.attach(
        spocdb.Attachment("public.products", "id", "photo", root=str(folder)), extractor="mini"
    ),
    "tables.detach": lambda db, folder: db.tables.detach("photos"),
    "tables.list": lambda db, folder: db.tables.list(),
    "tables.work": lambda db, folder: db.tables.work(once=True),
    "tables.retry": lambda db, folder: db.tables.retry(),
    "tables.throughput": lambda db, folder: db.tables.throughput(),
    "tables.coverage": lambda db, folder: db.tables.coverage(),
    "tables.image_id": lambda db, folder: db.tables.image_id("1"),
    "tables.names_by": lambda db, folder: db.tables.names_by(),
}


def methods() -> set[str]:
    """Return the names of all public methods of Database and its parts that use the server."""
    found = {name for name, _ in inspect.getmembers(spocdb.Database, inspect.isfunction)}
    parts = {
        "pca": spocdb.Pca,
        "duplicates": spocdb.Duplicates,
        "review": spocdb.Review,
        "index": spocdb.Index,
        "tables": spocdb.Tables,
        "sql": Statements,
    }
    for attribute, part in parts.items():
        names = (name for name, _ in inspect.getmembers(part, inspect.isfunction))
        found |= {f"{attribute}.{name}" for name in names}
    return {n for n in found if not n.rpartition(".")[2].startswith("_")} - {"close"}


@pytest.fixture(scope="module")
def own_server() -> Iterator[Path]:
    """Return the folder of an embedded server that may be stopped."""
    with tempfile.TemporaryDirectory(prefix="spocdb-stopped-") as folder:
        yield Path(folder)
        embedded.stop(Path(folder))


@pytest.fixture
def own_settings(own_server: Path, environment: dict[str, str]) -> Settings:
    return from_environment(None, environment | {"SPOCDB_DATA_DIR": str(own_server)})


def fill(db: spocdb.Database, folder: Path) -> None:
    """Store images, projections and a table, so that every call would succeed."""
    db.ingest(folder, auto_pca=0, extractor="mini", size=64)
    db.pca.activate(db.pca.fit(dim=2))
    db.pca.export(2, folder.parent / "before.npz")
    db.map(method="components")
    db.duplicates.find()


def only_spocdb_errors(db: spocdb.Database, folder: Path) -> dict[str, spocdb.SpocdbError]:
    """Make every call; return the exception of each."""
    raised: dict[str, spocdb.SpocdbError] = {}
    for name, call in CALLS.items():
        try:
            call(db, folder)
        except spocdb.SpocdbError as exc:
            raised[name] = exc
    assert all(len(str(exc).splitlines()) == 1 for exc in raised.values())
    return raised


def test_every_method_is_called() -> None:
    assert methods() == CALLS.keys()


def test_a_server_that_is_stopped(own_settings: Settings, make_photos: Any) -> None:
    folder = make_photos(4)
    with spocdb.connect(settings=own_settings) as db:
        fill(db, folder)
        assert own_settings.database_url is None
        with db.engine.connection(), db.engine.connection():
            pass  # two idle connections, which both break
        embedded.stop(own_settings.data_dir)
        raised = only_spocdb_errors(db, folder)
        assert raised.keys() == CALLS.keys()
        for name, exc in raised.items():
            assert isinstance(exc, spocdb.DatabaseLost), (name, exc)
            assert str(exc).startswith("cannot reach the database: "), (name, exc)


def test_a_server_that_is_restarted_between_two_calls(
    own_settings: Settings, make_photos: Any
) -> None:
    folder = make_photos(4)
    with spocdb.connect(settings=own_settings) as db:
        if not db.collections():
            fill(db, folder)
        before = list(db.images())
        with db.engine.connection(), db.engine.connection(), db.engine.connection():
            pass  # three idle connections, which all break
        embedded.stop(own_settings.data_dir)
        assert embedded.start(own_settings.data_dir) == db.url
        assert [list(db.images()) for _ in range(4)] == 4 * [before]


def test_a_role_whose_rights_are_revoked(
    url: str, server: str, environment: dict[str, str], make_photos: Any
) -> None:
    folder = make_photos(4)
    settings = from_environment(url, environment)
    with spocdb.connect(settings=settings) as db:
        fill(db, folder)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS revoked; CREATE ROLE revoked LOGIN")
        try:
            # For the check when the engine opens; both are revoked after it.
            admin.execute("GRANT USAGE ON SCHEMA spocdb TO revoked")
            admin.execute("GRANT SELECT ON spocdb.alembic_version TO revoked")
            theirs = replace(settings, database_url=make_conninfo(url, user="revoked"))
            with spocdb.connect(settings=theirs) as db:
                admin.execute("REVOKE ALL ON ALL TABLES IN SCHEMA spocdb FROM revoked")
                admin.execute("REVOKE ALL ON SCHEMA spocdb FROM revoked")
                raised = only_spocdb_errors(db, folder)
            assert raised.keys() == CALLS.keys()
        finally:
            admin.execute("DROP OWNED BY revoked; DROP ROLE revoked")
