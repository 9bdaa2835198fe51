"""Wrong values given to the API are refused in one line that names the parameter and its bound."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg.conninfo import make_conninfo

import spocdb
from spocdb.calibration import CalibrationOptions
from spocdb.errors import ConfigError, DimensionMismatch, ImageNotFound, InvalidValue
from spocdb.settings import from_environment
from tests.fixtures.ingested_photos import Original
from tests.fixtures.opened import Database

NAN = float("nan")
# Takes the API and a wrong value.
Call = Callable[[Any, Any], object]

ID: dict[str, Call] = {
    "similar": lambda db, id: db.similar(id),
    "similar, unlike": lambda db, id: db.similar(1, unlike=[id]),
    "sql.similar": lambda db, id: db.sql.similar(id),
    "image": lambda db, id: db.image(id),
    "path": lambda db, id: db.path(id),
    "read": lambda db, id: db.read(id),
    "thumbnail": lambda db, id: db.thumbnail(id),
    "delete": lambda db, id: db.delete(id),
    "sizes": lambda db, id: db.sizes([id]),
    "duplicates.group": lambda db, id: db.duplicates.group(id),
    "duplicates.decide": lambda db, id: db.duplicates.decide(id, 2, "same"),
    "duplicates.decide, other": lambda db, id: db.duplicates.decide(1, id, "same"),
    "duplicates.verdicts": lambda db, id: db.duplicates.verdicts([(id, 2)]),
    "review.group": lambda db, id: db.review.group(id),
    "review.keep": lambda db, id: db.review.keep({1: [id]}),
}

COLLECTION: dict[str, Call] = {
    "similar": lambda db, name: db.similar(1, collection=name),
    "images": lambda db, name: list(db.images(collection=name)),
    "count": lambda db, name: db.count(collection=name),
    "collection": lambda db, name: db.collection(name),
    "ingest": lambda db, name: db.ingest(".", collection=name),
    "preview": lambda db, name: db.preview(".", collection=name),
    "failures": lambda db, name: db.failures(name),
    "index.status": lambda db, name: db.index.status(name),
    "pca.fit": lambda db, name: db.pca.fit(name, dim=2),
    "drop": lambda db, name: db.drop(name),
    "tables.detach": lambda db, name: db.tables.detach(name),
    "tables.work": lambda db, name: db.tables.work(name, once=True),
}

PROJECTION: dict[str, Call] = {
    "similar": lambda db, number: db.similar(1, projection=number),
    "embed": lambda db, number: db.embed(np.zeros((9, 9, 3), np.uint8), projection=number),
    "map_points": lambda db, number: db.map_points(projection=number),
    "pca.show": lambda db, number: db.pca.show(number),
    "pca.activate": lambda db, number: db.pca.activate(number),
    "pca.drop": lambda db, number: db.pca.drop(number),
}

FILTER: dict[str, Call] = {
    "similar": lambda db, filter: db.similar(1, filter=filter),
    "images": lambda db, filter: list(db.images(filter)),
    "newest": lambda db, filter: db.newest(filter),
    "delete": lambda db, filter: db.delete(filter=filter),
}

# The parameter, a call with it, and values that it refuses.
OTHERS: list[tuple[str, Call, list[Any]]] = [
    ("k", lambda db, k: db.similar(1, k), [0, -1, 2**31, 1.5, "3", True, NAN]),
    ("k", lambda db, k: db.search(np.zeros((9, 9, 3), np.uint8), k), [0, "3"]),
    ("k", lambda db, k: db.sql.similar(1, k), [0, 1.5, None]),
    ("limit", lambda db, n: list(db.images(limit=n)), [-1, 1.5, "3", True]),
    ("limit", lambda db, n: db.failures(limit=n), [-1, 1.5, "3"]),
    ("limit", lambda db, n: db.newest(limit=n), [0, 1001, 1.5, None]),
    ("limit", lambda db, n: db.sql.newest(limit=n), [-1, 0, "3"]),
    ("before", lambda db, id: db.newest(before=id), [1.5, "1", 2**70]),
    ("after", lambda db, id: list(db.duplicates.groups(after=id)), [1.5, "1", None]),
    ("after", lambda db, id: db.review.groups(after=id), [1.5, "1", None]),
    ("after", lambda db, path: db.failures("photos", after=path), [3, b"a"]),
    ("n", lambda db, n: db.review.groups(n=n), [0, -1, 1.5, None]),
    ("members", lambda db, n: db.review.groups(members=n), [-1, 1, 1.5, "3"]),
    ("members", lambda db, n: db.duplicates.group(1, members=n), [1, 1.5, 2**70]),
    ("distance", lambda db, d: db.review.groups(distance=d), [-1, 3, NAN, "0.5", True]),
    ("distance", lambda db, d: db.review.count(distance=d), [-1, "0.5"]),
    ("distance", lambda db, d: db.duplicates.find(distance=d), [-1, "0.5", True]),
    ("max_distance", lambda db, d: db.similar(1, max_distance=d), [-1, 3, NAN, "0.5", True]),
    ("recall", lambda db, r: db.similar(1, recall=r), [0, 1.1, NAN, "0.5", True]),
    ("recall", lambda db, r: db.index.measure(recall=r), [0, "0.5", True]),
    ("refinement", lambda db, one: db.similar(1, refinement=one), [None, 3]),
    ("expand", lambda db, n: db.similar(1, refinement=spocdb.Refinement(expand=n)), [1.5, "3"]),
    ("rerank", lambda db, n: db.similar(1, refinement=spocdb.Refinement(rerank=n)), [1.5, None]),
    ("alpha", lambda db, a: db.similar(1, refinement=spocdb.Refinement(alpha=a)), ["3", None]),
    ("crop", lambda db, crop: db.embed(np.zeros((9, 9, 3), np.uint8), crop=crop), [0, (0, 0, 5)]),
    ("width", lambda db, width: spocdb.Crop(0, 0, width, 5), [NAN, 0.5, "5"]),
    ("most", lambda db, n: db.map_points(most=n), [-1, 1.5, "3"]),
    ("side", lambda db, n: db.picture(1, side=n), [0, 1.5, None]),
    ("partitions", lambda db, n: db.index.build(partitions=n), [1.5, "3", True]),
    ("neighbours", lambda db, n: db.map(neighbours=n), [1, 2.5, "3"]),
    ("min_distance", lambda db, d: db.map(min_distance=d), [2, "0.5"]),
    ("images", lambda db, n: db.duplicates.calibrate(images=n), [0, 200.5, "200"]),
    ("dim", lambda db, n: db.pca.fit(dim=n), [0, 1.5, "2", True]),
    ("extractor", lambda db, name: db.recipe(name), [3, b"mini"]),
    ("keys", lambda db, keys: db.tables.retry(keys=keys), [3, [3], b"a"]),
    ("keys", lambda db, keys: db.duplicates.take_over(keys=keys), [3, [3]]),
    ("attachment", lambda db, table: db.tables.attach(table), ["products", None]),
    ("key", lambda db, key: db.tables.image_id(key), [3, None]),
    ("keep", lambda db, rule: db.duplicates.find(keep=rule), [3]),
    ("choices", lambda db, choices: db.review.keep(choices), [3, [1]]),
    ("pairs", lambda db, pairs: db.duplicates.verdicts(pairs), [[1, 2], [(1,)], 5]),
    ("role", lambda db, role: db.grant_reader(role), [3, "", None]),
    ("role", lambda db, role: db.grant_worker(role), [3, ""]),
    ("role", lambda db, role: db.grant_owner(role), [3, ""]),
    ("benchmark", lambda db, name: db.evaluations(name), [3, ["holidays"]]),
    ("paths", lambda db, path: db.ingest(path), ["", 3, None, b"photos"]),
    ("paths", lambda db, path: db.enqueue(path), ["", 3]),
    ("path", lambda db, path: db.delete(path), ["", "a\0b"]),
    ("image", lambda db, image: db.search(image), ["", "a\0b"]),
    ("path", lambda db, path: db.move(path, "/elsewhere"), ["", 3]),
    ("file", lambda db, file: db.pca.export(1, file), ["", 3]),
    ("file", lambda db, file: db.pca.import_(file), ["", 3]),
    ("file", lambda db, file: db.export(file), ["", 3]),
    ("file", lambda db, file: db.duplicates.export(file), ["", 3]),
    ("move_to", lambda db, folder: db.duplicates.export("a.sh", move_to=folder), ["", 3]),
    ("folder", lambda db, folder: db.learn_codebook(folder, "a.safetensors"), ["", 3]),
    ("file", lambda db, file: db.quantize(".", file), ["", 3]),
    ("weights", lambda db, file: db.extractor("mini", file), ["", 3]),
    ("metadata", lambda db, file: db.ingest(".", metadata=file), ["", 3]),
    ("embedding", lambda db, e: db.sql.search(e), [[NAN, 1], "x", None, 3, [[1, 2]]]),
    ("url", lambda db, url: spocdb.connect(url), ["", 3, b"postgresql://"]),
    ("pool_size", lambda db, n: spocdb.Engine(db.settings, pool_size=n), [0, 1.5, "3"]),
    ("statement_seconds", lambda db, s: spocdb.Engine(db.settings, statement_seconds=s), [-1, "3"]),
]


@pytest.fixture(scope="module")
def filled(
    make_template: Callable[..., str], original_photos: Original, server: str
) -> Iterator[Database]:
    """Return the API on four photographs, with duplicates and a map."""
    name = make_template(lambda _: None, original_photos.database)
    environment = {"SPOCDB_CACHE_DIR": str(original_photos.cache)}
    with Database(from_environment(make_conninfo(server, dbname=name), environment)) as db:
        db.duplicates.find()
        db.map(method="components")
        yield db


@pytest.fixture(autouse=True)
def nothing_changes(filled: Database) -> Iterator[None]:
    """Check that a refused call changed nothing."""
    before = list(filled.images()), filled.collections(), filled.duplicates.decisions()
    yield
    assert before == (list(filled.images()), filled.collections(), filled.duplicates.decisions())


def refused(call: Call, db: Database, value: Any) -> str:
    """Return the parameter that an error names."""
    with pytest.raises(InvalidValue) as caught:
        call(db, value)
    error = caught.value
    assert error.field and error.bound and str(error).startswith(f"{error.field} must be ")
    assert "\n" not in str(error) and len(str(error)) < 300
    return error.field


@pytest.mark.parametrize("name", ID)
def test_an_id_is_an_integer(filled: Database, name: str) -> None:
    for wrong in (1.7, True, None, b"1", np.float64(1), np.array([[1, 2]])):
        refused(ID[name], filled, wrong)
    with pytest.raises(ImageNotFound, match="there is no image 1180591620717411303424"):
        ID[name](filled, 2**70)


def test_numbers_of_numpy_are_numbers(filled: Database) -> None:
    ids: Any = filled.embeddings()[0]
    first, second = ids[0], ids[1]
    assert filled.image(first) == filled.image(int(first))
    assert filled.similar(first, first + 1) == filled.similar(int(first), int(first) + 1)
    assert filled.similar(ids[:2]) == filled.similar([int(first), int(second)])
    assert filled.sql.similar(first) == filled.sql.similar(int(first))
    assert filled.delete(first, second, dry_run=True) == 2
    assert filled.sizes(ids).keys() == set(ids.tolist())
    two: Any = np.int64(2)
    part: Any = np.float32(0.5)
    wide = spocdb.Refinement(expand=two, rerank=two)
    assert len(filled.similar(1, recall=part, refinement=wide)) == 3
    assert filled.similar(1, max_distance=part) == filled.similar(1, max_distance=0.5)
    assert len(filled.newest(limit=two)) == 2
    options = CalibrationOptions(np.int64(400), part, part, two)  # type: ignore[arg-type]
    assert options == CalibrationOptions(400, 0.5, 0.5, 2) and json.dumps(asdict(options))


@pytest.mark.parametrize("name", COLLECTION)
def test_the_name_of_a_collection_is_a_text(filled: Database, name: str) -> None:
    for wrong in (3, b"photos", Path("photos"), ["photos"]):
        assert refused(COLLECTION[name], filled, wrong) == "collection"


def test_none_is_no_collection_to_drop_or_to_fill(filled: Database) -> None:
    for name in ("drop", "ingest", "preview", "tables.detach"):
        assert refused(COLLECTION[name], filled, None) == "collection"


@pytest.mark.parametrize("name", PROJECTION)
def test_a_projection_is_an_integer(filled: Database, name: str) -> None:
    for wrong in (1.5, "raw", True):
        assert refused(PROJECTION[name], filled, wrong) in ("projection", "number")
    for absent in (0, -1, 99, 2**70):
        with pytest.raises((spocdb.ProjectionNotFound, spocdb.MapNotFound)):
            PROJECTION[name](filled, absent)


@pytest.mark.parametrize("name", FILTER)
def test_a_filter_is_a_text_or_a_mapping(filled: Database, name: str) -> None:
    for wrong in (3, NAN, True, b"a=1"):
        assert refused(FILTER[name], filled, wrong) == "filter"
    with pytest.raises(ConfigError, match="the keys of a filter are texts, and 1 is none"):
        FILTER[name](filled, {1: 2})


@pytest.mark.parametrize(("field", "call", "wrong"), OTHERS)
def test_other_values(filled: Database, field: str, call: Call, wrong: list[Any]) -> None:
    for one in wrong:
        assert refused(call, filled, one) == field


def test_an_embedding_has_the_dimensions_of_the_projection(filled: Database) -> None:
    with pytest.raises(DimensionMismatch, match="expected 256 dimensions, got 3"):
        filled.sql.search(np.ones(3, np.float32))


def test_nothing_to_read(filled: Database) -> None:
    for call in (filled.ingest, filled.enqueue, filled.preview):
        with pytest.raises(ConfigError, match=r"^nothing is given to read"):
            call()
    assert filled.ingest(retry_failed=True).n_seen == 0
