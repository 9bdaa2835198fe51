"""Searches that show a group of duplicates once."""

import csv
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.db.connections import Connection
from spocdb.db.search import Hit
from spocdb.errors import DuplicatesNotFound
from spocdb.records import Float32Array, Refinement
from spocdb.settings import from_environment
from tests.fixtures.copies import NEAR, AddImages, copies
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

SEARCH = "SELECT {} FROM spocdb.search_collapsed('photos', spocdb.embedding('photos', 1), {})"


@pytest.fixture(scope="module")
def grouped_template(
    server: str,
    make_template: Callable[..., str],
    add_images: AddImages,
    originals: Float32Array,
) -> str:
    """Return the name of a database with groups of duplicates and an index.

    It has 60 images: 40 copies of the first, two of each of the next nine.
    """

    def fill(connection: Connection) -> None:
        of_first = [copies(originals[:1], seed) for seed in range(40)]
        others = copies(originals[1:10]), originals[1:10]
        add_images(connection, np.concatenate([originals, *of_first, *others]))
        connection.execute(
            "UPDATE spocdb.images SET metadata = jsonb_build_object('even', id % 2 = 0)"
        )
        url = make_conninfo(server, dbname=connection.info.dbname)
        with Database(from_environment(url, {})) as db:
            db.index.build()
            db.duplicates.find(distance=NEAR)

    return make_template(fill)


@pytest.fixture
def grouped(db: Database) -> Database:
    """Return a copy of that database."""
    return db


def firsts(db: Database, hits: list[Hit]) -> list[tuple[int, int]]:
    """Return the id of the first hit of each group, and how many others are in the group."""
    groups = {
        image.id: group
        for group in db.duplicates.groups()
        for image in (group.keeper, *group.others)
    }
    found, seen = [], set[int]()
    for hit in hits:
        group = groups.get(hit.id)
        if (keeper := group.keeper.id if group else hit.id) not in seen:
            found.append((hit.id, len(group.others) if group else 0))
            seen.add(keeper)
    return found


def shown(hits: list[Hit]) -> list[tuple[int, int | None]]:
    return [(hit.id, hit.n_duplicates) for hit in hits]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filter": "even=true"},
        {"filter": {"even": False}},
        {"refinement": Refinement(expand=3)},
        {"unlike": [30]},
        {"max_distance": 0.9},
    ],
)
def test_each_group_is_shown_once_by_its_nearest(
    grouped: Database, options: dict[str, Any]
) -> None:
    for query in (1, 5, [5, 7], 40):
        similar: Callable[..., list[Hit]] = partial(grouped.similar, query, exact=True, **options)
        found = similar(k=12, collapse=True)
        assert shown(found) == firsts(grouped, similar(k=1000))[:12]
        # The copies of the first image do not take the places of others.
        assert len(found) == 12 or "max_distance" in options


def test_the_index_finds_as_many_groups(grouped: Database) -> None:
    found = grouped.similar(1, 12, collapse=True)
    assert {hit.method for hit in found} == {"hnsw"} and len(found) == 12
    assert shown(found) == firsts(grouped, found)
    assert found[0].n_duplicates == 40


def test_groups_are_those_of_the_active_projection(grouped: Database) -> None:
    grouped.pca.activate(grouped.pca.fit(dim=32))
    with pytest.raises(DuplicatesNotFound):
        grouped.similar(1, collapse=True)
    grouped.duplicates.find()
    found = grouped.similar(2, 5, collapse=True, projection=1, exact=True)
    assert shown(found) == firsts(grouped, grouped.similar(2, 100, projection=1, exact=True))[:5]


def test_all_within_a_distance(grouped: Database) -> None:
    every = grouped.similar(1, k=None, max_distance=1)
    found = grouped.similar(1, k=None, max_distance=1, collapse=True)
    assert shown(found) == firsts(grouped, every)
    assert len(found) < len(every) - 35


def test_groups_are_reranked(grouped: Database) -> None:
    plain = grouped.similar(5, 20, collapse=True, exact=True)
    ranked = grouped.similar(5, 20, collapse=True, exact=True, refinement=Refinement(rerank=20))
    assert sorted(shown(ranked)) == sorted(shown(plain)) and ranked != plain


def test_more_is_asked_for_until_all_groups_are_there(grouped: Database) -> None:
    # 60 images, of which ten have copies, without the one that is searched with.
    assert len(grouped.similar(40, 1000, collapse=True)) == 59
    assert len(grouped.similar(1, 60, collapse=True)) == 60
    # What came after the last `find` is not compared yet, and what is gone does not count.
    grouped.connection.execute("DELETE FROM spocdb.images WHERE id BETWEEN 61 AND 90")
    (first,) = grouped.similar(1, 1, collapse=True)
    assert first.n_duplicates == 10


def test_a_group_by_sql(grouped: Database) -> None:
    execute = grouped.connection.execute
    every = grouped.similar(1, 30, collapse=True)
    rows = execute(SEARCH.format("id, n_duplicates", "30, left_out => '{1}'")).fetchall()
    assert rows == shown(every)
    (first,) = execute(
        SEARCH.format("id, path, distance, method, n_duplicates", "1, exact => true")
    ).fetchall()
    assert first == (1, "/photos/000000.jpg", 0, "exact", 40)
    for arguments, n in [("0", 0), ("NULL", 10), ("3, NULL, NULL, NULL, NULL", 3)]:
        assert len(execute(SEARCH.format("id", arguments)).fetchall()) == n
    # Any list of images, in its order.
    kept = execute("SELECT * FROM spocdb.collapse('photos', '{62,1,20,61,999}')").fetchall()
    assert kept == [(62, 40), (20, 0), (999, 0)]
    assert execute("SELECT * FROM spocdb.collapse('photos', '{}')").fetchall() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("-1", "k is -1, the least is 0"),
        ("5, projection => 9", "collection photos has no embeddings by"),
        ("5, '[[1]]'", "filter"),
    ],
)
def test_what_sql_refuses(grouped: Database, arguments: str, said: str) -> None:
    with pytest.raises(psycopg.Error, match=said):
        grouped.connection.execute(SEARCH.format("id", arguments))


def test_a_reader_collapses_its_own_collection(
    granted: Any, roles: dict[str, str], log_in: Callable[[str], Any]
) -> None:
    for name in ("products", "secret"):
        granted.db.duplicates.find(name, distance=2)
    execute = log_in(roles["reader"]).execute
    search = "SELECT id FROM spocdb.search_collapsed('{0}', spocdb.embedding('products', 1))"
    assert len(execute(search.format("products")).fetchall()) == 1
    for statement in (search, "SELECT * FROM spocdb.collapse('{0}', '{{1}}')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not read collection"):
            execute(statement.format("secret"))


def test_nobody_looked(db: Database, add_images: AddImages, originals: Float32Array) -> None:
    add_images(db.connection, originals)
    for options in ({"k": 5}, {"k": None, "max_distance": 0.5}):
        with pytest.raises(DuplicatesNotFound, match=r"run `db\.duplicates\.find\(.photos"):
            db.similar(1, collapse=True, **options)


def test_the_command(
    grouped: Database, spocdb: Run, add_images: AddImages, originals: Float32Array
) -> None:
    wanted = grouped.similar(1, 3, collapse=True)
    ran = spocdb("search", "--id", 1, "-k", 3, "--collapse", "--json")
    assert [(hit["id"], hit["n_duplicates"]) for hit in json.loads(ran.stdout)] == shown(wanted)
    ran = spocdb("search", "--id", 1, "-k", 3, "--collapse")
    assert ran.stdout.splitlines()[0].split() == [
        "distance",
        "id",
        "path",
        "metadata",
        "duplicates",
    ]
    assert [line.split()[-1] for line in ran.stdout.splitlines()[1:]] == [
        str(hit.n_duplicates) for hit in wanted
    ]
    ran = spocdb("search", "--id", 1, "--within", 0.01, "--collapse", "--csv")
    assert [row[-1] for row in csv.reader(ran.stdout.splitlines())] == ["duplicates", "40"]
    add_images(grouped.connection, originals[:2], "others")
    own = next(grouped.images(collection="others")).id
    ran = spocdb("search", "--id", own, "--collapse", "-c", "others")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.rstrip().endswith("run `spocdb duplicates find others`")
