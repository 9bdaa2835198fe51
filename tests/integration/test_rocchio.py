"""Several liked and disliked images as one query, in SQL and in Python, compared with NumPy."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.db import search as db_search
from spocdb.errors import ImageNotFound, InvalidValue
from spocdb.records import Float32Array, Refinement
from tests.fixtures.opened import Database

Run = Callable[..., "subprocess.CompletedProcess[str]"]

LIKED, DISLIKED = [7, 8, 4000], [9, 10]


def unit(vector: Float32Array) -> Float32Array:
    result: Float32Array = vector / np.linalg.norm(vector)
    return result


def expected(
    db: Database,
    liked: Sequence[int],
    disliked: Sequence[int] = (),
    query: Float32Array | None = None,
) -> Float32Array:
    """Return the query that the images make, in NumPy."""
    stored = dict(zip(*db.embeddings(), strict=True))
    total = np.zeros(64) if query is None else unit(query).astype(np.float64)
    if liked:
        total = total + 0.75 * np.mean([stored[i] for i in liked], axis=0)
    if disliked:
        total = total - 0.15 * np.mean([stored[i] for i in disliked], axis=0)
    return unit(total.astype(np.float32))


@pytest.mark.parametrize("disliked", [[], DISLIKED])
@pytest.mark.parametrize("liked", [[7], LIKED])
@pytest.mark.parametrize("has_query", [False, True])
def test_a_query_is_moved_to_the_liked_and_from_the_disliked(
    gallery: Database,
    gallery_queries: Float32Array,
    liked: list[int],
    disliked: list[int],
    has_query: bool,
) -> None:
    # Of any length: it is normalised first.
    query = 3 * gallery_queries[0, :64] if has_query else None
    found = db_search.rocchio(gallery.connection, "photos", liked, disliked, query)
    np.testing.assert_allclose(found, expected(gallery, liked, disliked, query), atol=1e-5)


def test_nothing_liked_leaves_the_query(gallery: Database, gallery_queries: Float32Array) -> None:
    query = gallery_queries[0, :64]
    execute = gallery.connection.execute
    statement = "SELECT spocdb.rocchio('photos', '{}', query => %s)"
    (found,) = execute(statement, [Vector(query)]).fetchone() or ()
    np.testing.assert_allclose(found.to_numpy(), unit(query), atol=1e-6)
    assert execute("SELECT spocdb.rocchio('photos', NULL, NULL)").fetchone() == (None,)
    found = db_search.rocchio(gallery.connection, "photos", [], DISLIKED, query)
    np.testing.assert_allclose(found, expected(gallery, [], DISLIKED, query), atol=1e-5)


def test_an_image_that_is_named_twice_counts_once(gallery: Database) -> None:
    once, twice = (
        db_search.rocchio(gallery.connection, "photos", liked, DISLIKED)
        for liked in ([7, 8], [7, 8, 7])
    )
    np.testing.assert_array_equal(once, twice)


@pytest.mark.parametrize("refinement", [Refinement(), Refinement(expand=3, rerank=30)])
def test_similar_takes_several_images_and_leaves_them_out(
    gallery: Database, refinement: Refinement
) -> None:
    hits = gallery.similar(LIKED, 20, unlike=DISLIKED, refinement=refinement, exact=True)
    assert len(hits) == 20 and not {*LIKED, *DISLIKED} & {hit.id for hit in hits}
    if refinement == Refinement():
        ids, vectors = gallery.embeddings()
        distances = 1 - vectors @ expected(gallery, LIKED, DISLIKED)
        order = [int(i) for i in ids[np.argsort(distances)] if i not in {*LIKED, *DISLIKED}]
        assert [hit.id for hit in hits] == order[:20]
        near = dict(zip(ids.tolist(), distances.tolist(), strict=True))
        assert [hit.distance for hit in hits] == pytest.approx([near[h.id] for h in hits], abs=1e-5)


def test_one_image_in_a_list_is_that_image(gallery: Database) -> None:
    ids, _ = gallery.embeddings()
    assert gallery.similar([7]) == gallery.similar(7) == gallery.similar(ids[[*ids].index(7)])
    assert gallery.similar([7, 8]) == gallery.similar((8, 7)) == gallery.similar(np.array([7, 8]))  # type: ignore[arg-type]


def test_a_picture_is_searched_with_liked_and_disliked_images(
    db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    folder = make_photos(8)
    db.ingest(folder, **recipe)
    plain = db.search(folder / "0003.jpg", 8)
    own, last, other = plain[0].id, plain[-1].id, plain[-2].id
    moved = db.search(folder / "0003.jpg", 8, like=[last], unlike=[other])
    # All may be found, also those that are named.
    assert {hit.id for hit in moved} == {hit.id for hit in plain}
    distances = {hit.id: hit.distance for hit in moved}
    ids, vectors = db.embeddings()
    stored = dict(zip(ids.tolist(), vectors, strict=True))
    query = unit(db.embed(folder / "0003.jpg") + 0.75 * stored[last] - 0.15 * stored[other])
    assert distances == pytest.approx({i: 1 - float(stored[i] @ query) for i in stored}, abs=1e-5)
    assert distances[last] < next(hit.distance for hit in plain if hit.id == last)
    away = db.search(folder / "0003.jpg", 8, unlike=[plain[1].id])
    assert away[0].id == own and away[0].distance > plain[0].distance


def test_other_images_of_a_projection_that_is_kept(gallery: Database) -> None:
    kept = gallery.similar(LIKED, 5, unlike=DISLIKED, projection=1)
    assert kept != gallery.similar(LIKED, 5, unlike=DISLIKED)
    gallery.pca.activate(1)
    assert gallery.similar(LIKED, 5, unlike=DISLIKED) == kept


def test_images_that_are_not_there_are_named(gallery: Database) -> None:
    for liked, unlike in (([7, 99999], []), ([7], [99999])):
        with pytest.raises(ImageNotFound, match=r"^collection photos has no image 99999$"):
            gallery.similar(liked, unlike=unlike)
    with pytest.raises(InvalidValue, match=r"^id must be one image or more, not \[\]$"):
        gallery.similar([], unlike=[7])
    with pytest.raises(psycopg.errors.DataException, match="different vector dimensions"):
        gallery.connection.execute("SELECT spocdb.rocchio('photos', '{1}', query => '[1,2]')")


def test_psql_likes_and_dislikes(gallery: Database, psql: Run) -> None:
    ran = psql(
        gallery.url,
        """
        SELECT id FROM spocdb.search('photos', spocdb.rocchio('photos', '{7,8,4000}', '{9,10}'),
                                     k => 25, exact => true)
        """,
    )
    assert ran.returncode == 0, ran.stderr
    ids = [int(line) for line in ran.stdout.split()]
    hits = gallery.similar(LIKED, 20, unlike=DISLIKED, exact=True)
    assert [i for i in ids if i not in {*LIKED, *DISLIKED}][:20] == [hit.id for hit in hits]
