"""Query expansion, re-ranking and database-side augmentation, in SQL and in Python."""

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import Vector

from spocdb.db import connections
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.errors import CollectionNotFound, ConfigError, DatabaseError, ImageNotFound
from spocdb.features.reranking import rerank
from spocdb.records import Float32Array, Refinement
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

QUERY = 7


@pytest.fixture
def small(db: Database, add_images: AddImages, clustered: Clustered) -> Database:
    """Return the API on 300 images; projection 2 has 16 dimensions and is active."""
    add_images(db.connection, clustered(305)[:300])
    db.pca.activate(db.pca.fit("photos", dim=16))
    return db


@pytest.fixture
def newcomers(clustered: Clustered) -> Float32Array:
    """Return the descriptors (5, 32) of images like those of the small collection."""
    return clustered(305)[300:]


def unit(vector: Float32Array) -> Float32Array:
    result: Float32Array = vector / np.linalg.norm(vector)
    return result


def vectors(db: Database) -> dict[int, Float32Array]:
    """Return the active embeddings by their ids."""
    ids = [row[0] for row in db.connection.execute("SELECT id FROM spocdb.photos")]
    return dict(zip(ids, db_search.embeddings(db.connection, "photos", ids), strict=True))


def expanded(
    query: Float32Array, others: dict[int, Float32Array], n: int, alpha: float
) -> Float32Array:
    """Compute the expansion in NumPy; images that equal the query do not count."""
    cosines = {id_: float(vector @ query) for id_, vector in others.items()}
    nearest = sorted((i for i in cosines if cosines[i] < 1 - 1e-3), key=lambda i: -cosines[i])[:n]
    return unit(query + sum(max(cosines[i], 0) ** alpha * others[i] for i in nearest))


@pytest.mark.parametrize(("n", "alpha"), [(3, 0.0), (5, 3.0), (1, 1.0), (0, 3.0)])
def test_expansion_adds_the_nearest_by_their_similarity(
    gallery: Database, n: int, alpha: float
) -> None:
    stored = vectors(gallery)
    found = db_search.expand(gallery.connection, "photos", stored[QUERY], n, alpha, exact=True)
    np.testing.assert_allclose(found, expanded(stored[QUERY], stored, n, alpha), atol=1e-5)
    by_index = db_search.expand(gallery.connection, "photos", stored[QUERY], n, alpha, exact=False)
    np.testing.assert_allclose(by_index, found, atol=1e-5)


def test_psql_expands_and_searches_in_one_statement(gallery: Database, psql: Run) -> None:
    ran = psql(
        gallery.url,
        f"""
        SELECT id FROM spocdb.search('photos',
            spocdb.expand('photos', spocdb.embedding('photos', {QUERY}), 5), k => 5)
        """,
    )
    assert ran.returncode == 0, ran.stderr
    hits = gallery.similar(QUERY, 4, refinement=Refinement(expand=5))
    ids = [int(line) for line in ran.stdout.split()]
    assert [id_ for id_ in ids if id_ != QUERY][:4] == [hit.id for hit in hits]


def test_expansion_takes_halfvec_columns_too(small: Database, newcomers: Float32Array) -> None:
    small.index.build("photos", "hnsw-halfvec")
    query = db_search.embed(small.connection, "photos", newcomers[0])
    found = db_search.expand(small.connection, "photos", query, 5, 3.0, exact=True)
    expected = expanded(unit(query), vectors(small), 5, 3.0)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_nothing_to_expand_by_leaves_the_query(
    db: Database, add_images: AddImages, clustered: Clustered
) -> None:
    add_images(db.connection, clustered(1))
    stored = vectors(db)
    (only,) = stored.values()
    found = db_search.expand(db.connection, "photos", 3 * only, 5, 3.0, exact=False)
    np.testing.assert_allclose(found, only, atol=1e-6)
    row = db.connection.execute("SELECT spocdb.expand('photos', NULL)").fetchone()
    assert row == (None,)


def test_what_is_not_there_is_told_by_its_name(gallery: Database) -> None:
    with (
        pytest.raises(CollectionNotFound, match="no collection named nothing"),
        connections.wrapped(),
    ):
        db_search.embedding(gallery.connection, "nothing", 1)
    with pytest.raises(ImageNotFound, match="no image 99999"):
        gallery.similar(99999)
    with pytest.raises(CollectionNotFound), connections.wrapped():
        query = np.ones(64, np.float32)
        db_search.expand(gallery.connection, "nothing", query, 5, 3.0, exact=False)


def test_reranking_orders_the_short_list_and_nothing_else(gallery: Database) -> None:
    plain = gallery.similar(QUERY, 60)
    found = gallery.similar(QUERY, 60, refinement=Refinement(rerank=40))
    assert [h.id for h in found] != [h.id for h in plain]
    # The query is one of the forty images, and is not returned.
    assert {h.id for h in found[:39]} == {h.id for h in plain[:39]}
    assert [h.id for h in found[39:]] == [h.id for h in plain[39:]]
    assert {h.id: h.distance for h in found} == {h.id: h.distance for h in plain}

    stored = vectors(gallery)
    listed = [QUERY, *(h.id for h in plain[:39])]
    order = rerank(stored[QUERY], np.array([stored[i] for i in listed]))
    assert [h.id for h in found[:39]] == [listed[i] for i in order if listed[i] != QUERY]


@pytest.mark.parametrize("expand", [0, 3])
def test_a_distance_bounds_the_hits_and_not_what_refines_them(
    gallery: Database, expand: int
) -> None:
    refined = Refinement(expand=expand, rerank=40)
    every = gallery.similar(QUERY, 60, refinement=refined)
    # Re-ranking put a farther image before this one.
    i = next(i for i in range(1, 40) if every[i - 1].distance > every[i].distance)
    bound = every[i].distance
    near = [hit for hit in every if hit.distance <= bound]
    found = gallery.similar(QUERY, 60, refinement=refined, max_distance=bound)
    assert found == near
    # As many as were asked for, although one of the first is too far.
    found = gallery.similar(QUERY, i, refinement=refined, max_distance=bound)
    assert found == near[:i] != every[:i]


@pytest.mark.parametrize(
    ("refinement", "message"),
    [
        (Refinement(expand=-1), "^expand must be 0 to 2000, not -1$"),
        (Refinement(rerank=2001), "^rerank must be 0 to 2000, not 2001$"),
        (Refinement(expand=1, alpha=float("nan")), "^alpha must be 0 to 100, not nan$"),
    ],
)
def test_a_refinement_out_of_range_is_told(
    gallery: Database, refinement: Refinement, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        gallery.similar(QUERY, refinement=refinement)


def test_the_command_line_refines_too(gallery_url: str, spocdb: Run) -> None:
    ran = spocdb("search", "--id", QUERY, "--expand", 5, "--rerank", 50, "--db", gallery_url)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 11
    assert ran.stderr.endswith("the query expanded by 5, 50 re-ranked\n")


def test_augmentation_adds_neighbours_to_every_embedding(small: Database, said: list[str]) -> None:
    plain = vectors(small)
    said.clear()
    number = small.pca.augment(neighbours=4, alpha=2.0)
    assert number == 3
    assert said[-1] == "projection 3: 300 images augmented"
    augmented = vectors(small)
    for id_ in (1, QUERY, 300):
        np.testing.assert_allclose(augmented[id_], expanded(plain[id_], plain, 4, 2.0), atol=1e-5)
    (summary, _) = small.pca.show(number)
    assert summary.settings["augmented"] == {
        "collection": "photos",
        "base": 2,
        "neighbours": 4,
        "alpha": 2.0,
    }
    # There is an index, and a query is projected as before.
    assert small.similar(QUERY)[0].method == "hnsw"
    raw = np.ones(32, np.float32)
    by_augmented = db_search.embed(small.connection, "photos", raw)
    assert small.pca.rollback() == 2
    np.testing.assert_array_equal(by_augmented, db_search.embed(small.connection, "photos", raw))
    np.testing.assert_array_equal(vectors(small)[QUERY], plain[QUERY])


def test_augmenting_again_sees_the_new_images(
    small: Database, add_images: AddImages, newcomers: Float32Array
) -> None:
    number = small.pca.augment(neighbours=3)
    add_images(small.connection, newcomers, first=6000)
    # The new image is found, still without its neighbours' part.
    newest = max(vectors(small))
    plain = db_search.embed(small.connection, "photos", newcomers[4])
    np.testing.assert_allclose(vectors(small)[newest], plain, atol=1e-5)
    with pytest.raises(ConfigError, match="cannot be augmented: activate a fitted one first"):
        small.pca.augment(neighbours=3)
    small.pca.rollback()
    base = vectors(small)
    assert small.pca.augment(neighbours=3) == number
    np.testing.assert_allclose(
        vectors(small)[newest], expanded(base[newest], base, 3, 3.0), atol=1e-5
    )


def test_an_augmentation_belongs_to_its_collection(
    small: Database, add_images: AddImages, newcomers: Float32Array, tmp_path: Any
) -> None:
    number = small.pca.augment(neighbours=3)
    add_images(small.connection, newcomers, name="others")
    with pytest.raises(ConfigError, match=r"run `db\.pca\.augment\(collection='others'\)`"):
        small.pca.activate(number, "others")
    with pytest.raises(ConfigError, match="is an augmentation: export 2, its base"):
        small.pca.export(number, tmp_path / "pca.npz")
    with pytest.raises(ConfigError, match="projection 1 of others cannot be augmented"):
        small.pca.augment("others")
    with pytest.raises(ConfigError, match="neighbours must be 1 to 1000, not 0"):
        small.pca.rollback("photos")
        small.pca.augment("photos", neighbours=0)


def test_an_interrupted_augmentation_is_not_activated_half_done(small: Database) -> None:
    number = small.pca.augment(neighbours=2)
    small.pca.rollback()
    small.connection.execute(f"DELETE FROM spocdb.embeddings_1_{number} WHERE image_id > 100")
    with pytest.raises(ConfigError, match="is an augmentation without all embeddings of photos"):
        small.pca.activate(number, "photos")
    assert small.pca.augment(neighbours=2) == number
    assert len(vectors(small)) == 300


def test_a_projection_activated_meanwhile_stops_an_augmentation(small: Database, hear: Any) -> None:
    other = small.pca.fit("photos", dim=16, whiten=False)

    def interfere(line: str) -> None:
        if "300 images augmented" in line:
            with psycopg.connect(small.url, autocommit=True) as connection:
                connection.execute("SELECT spocdb.add_embedding_table(1, %s)", [other])
                connection.execute(
                    "INSERT INTO spocdb.embeddings_1_" + str(other) + " "
                    "SELECT image_id, embedding FROM spocdb.embeddings_1_2"
                )
                connection.execute("SELECT spocdb.activate(1, %s)", [other])

    hear(interfere)
    with pytest.raises(DatabaseError, match="another projection of photos was activated"):
        small.pca.augment(neighbours=1)
    assert small.collections()[0].projection == other


def test_a_search_sees_one_projection_whatever_is_activated(gallery: Database) -> None:
    """Another projection may be activated between a query's projection and its search."""
    with db_search.snapshot(gallery.connection):
        query = db_search.embed(gallery.connection, "photos", np.ones(256, np.float32))
        with psycopg.connect(gallery.url, autocommit=True) as other:
            other.execute("SELECT spocdb.activate(1, 1)")
        hits = db_search.nearest(gallery.connection, "photos", query, 3, {}, exact=False)
    assert len(query) == 64 and len(hits) == 3
    assert len(db_search.embedding(gallery.connection, "photos", QUERY)) == 256


def test_a_vector_of_another_dimension_is_refused(gallery: Database) -> None:
    with pytest.raises(psycopg.Error, match="embeddings of 64 dimensions, the query has 3"):
        gallery.connection.execute(
            "SELECT spocdb.expand('photos', %s)", [Vector(np.ones(3, np.float32))]
        )
