"""Range searches: all images up to a distance, none left out."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.errors import InvalidValue
from spocdb.records import Float32Array, Refinement
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

# A scan by the view's own column, written apart from the function.
SCAN = """
SELECT id FROM (SELECT id, 1 + (embedding <#> %(query)s) AS d FROM spocdb.photos) scanned
WHERE d <= %(distance)s ORDER BY d, id
"""
WITHIN = "SELECT id FROM spocdb.within('photos', %(query)s, %(distance)s)"


def ids(db: Database, statement: str, query: Vector, distance: float) -> list[int]:
    values = {"query": query, "distance": distance}
    return [id for (id,) in db.connection.execute(statement, values)]


@pytest.mark.servers
def test_all_images_within_a_distance_are_found(
    gallery: Database, gallery_queries: Float32Array
) -> None:
    numbers = []
    for raw in gallery_queries[:20]:
        query = gallery.connection.execute(
            "SELECT spocdb.embed('photos', %s)", [Vector(raw)]
        ).fetchone()
        assert query
        for distance in (0.3, 0.8, 1.1, 2):
            found = ids(gallery, WITHIN, query[0], distance)
            assert found == ids(gallery, SCAN, query[0], distance)
            numbers.append(len(found))
    assert numbers[3] == 5000 and len(set(numbers)) > 20


def test_it_finds_more_than_the_index_can(db: Database, add_images: Callable[..., Any]) -> None:
    add_images(db.connection, np.repeat(np.eye(32, dtype=np.float32)[:2], 1500, axis=0))
    db.index.build()
    assert len(db.similar(1, k=None, max_distance=0.5)) == 1499


def test_it_is_a_search_without_a_number(gallery: Database) -> None:
    every = gallery.similar(7, 60, exact=True)
    bound = every[40].distance
    assert gallery.similar(7, k=None, max_distance=bound) == every[:41]
    some = {"even": True}
    matching = gallery.similar(7, 60, exact=True, filter=some)
    for filter in (some, "even=true"):
        found = gallery.similar(7, k=None, max_distance=bound, filter=filter)
        assert found == [hit for hit in matching if hit.distance <= bound]
    raw = gallery.similar(7, 60, exact=True, projection=1)
    found = gallery.similar(7, k=None, max_distance=raw[5].distance, projection=1)
    assert found == raw[:6]
    several = gallery.similar([7, 8], 60, exact=True, unlike=[9])
    found = gallery.similar([7, 8], k=None, max_distance=several[20].distance, unlike=[9])
    assert found == several[:21]


def test_refinements_come_before_the_distance(gallery: Database) -> None:
    refined = Refinement(expand=5)
    every = gallery.similar(7, 60, exact=True, refinement=refined)
    bound = every[30].distance
    # The expansion's own neighbours come from an exact search there.
    found = gallery.similar(7, k=None, max_distance=bound, refinement=refined, exact=True)
    assert found == every[:31]
    reranked = gallery.similar(
        7, k=None, max_distance=bound, refinement=Refinement(5, rerank=31), exact=True
    )
    assert {hit.id for hit in reranked} == {hit.id for hit in found}


def test_a_picture_within_a_distance(
    db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any], spocdb: Run
) -> None:
    photos = make_photos(8)
    db.ingest(photos, **recipe)
    picture = photos / "0003.jpg"
    every = db.search(picture, 100, exact=True)
    bound = every[3].distance
    assert db.search(picture, k=None, max_distance=bound) == every[:4]
    ran = spocdb("search", picture, "--within", bound, "--json")
    assert ran.returncode == 0, ran.stderr
    assert [hit["id"] for hit in json.loads(ran.stdout)] == [hit.id for hit in every[:4]]


def test_a_search_without_any_limit_is_refused(db: Database) -> None:
    said = "^k must be a number, unless max_distance is given, not None$"
    for search in (partial(db.search, b"no image"), partial(db.similar, 1)):
        with pytest.raises(InvalidValue, match=said):
            search(k=None)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("NULL, 0.5", []),
        ("spocdb.embedding('photos', 1), NULL", []),
        ("spocdb.embedding('photos', 1), 0.5, NULL", None),
        ("spocdb.embedding('photos', 1), 0.5, '[]'", None),
        ("spocdb.embedding('photos', 1), 0.5, '{\"even\": \"no such\"}'", []),
    ],
)
def test_missing_arguments(gallery: Database, arguments: str, found: Sequence[Any] | None) -> None:
    rows = gallery.connection.execute(f"SELECT id FROM spocdb.within('photos', {arguments})")
    plain = gallery.connection.execute(
        "SELECT id FROM spocdb.within('photos', spocdb.embedding('photos', 1), 0.5)"
    ).fetchall()
    assert len(plain) > 1
    assert rows.fetchall() == (plain if found is None else found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("'photos', '[1,0]', 0.5", "collection photos has embeddings of 64 dimensions"),
        ("'nothing', '[1,0]', 0.5", "there is no collection named nothing"),
        ("'photos', '[1,0]', 'nan'", "max_distance is NaN, it goes from 0 to 2"),
        ("'photos', '[1,0]', -1", "max_distance is -1, it goes from 0 to 2"),
        ("'photos', '[1,0]', 2.5", "max_distance is 2.5, it goes from 0 to 2"),
        ("'photos', '[1,0]', 1, projection => 9", "collection photos has no embeddings by"),
    ],
)
def test_what_sql_refuses(gallery: Database, arguments: str, said: str) -> None:
    with pytest.raises(psycopg.Error, match=said) as raised:
        gallery.connection.execute(f"SELECT * FROM spocdb.within({arguments})")
    assert raised.value.diag.message_hint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--within", 0.5, "-k", 3], "it finds all images: leave out -k and --max-distance"),
        (["--within", 0.5, "--max-distance", 1], "leave out -k and --max-distance"),
        (["--within", 3], "3.0 is not 0 to 2"),
        (["--within", "nan"], "nan is not 0 to 2"),
    ],
)
def test_what_the_command_refuses(
    gallery_url: str, spocdb: Run, options: list[Any], said: str
) -> None:
    ran = spocdb("search", "--id", 7, *options, "--db", gallery_url)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
