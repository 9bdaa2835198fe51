"""Copies in a gallery are junk unless the ground truth names them."""

from pathlib import Path

import pytest

from spocdb.evaluation.benchmark import Benchmark, Query
from spocdb.evaluation.copies import without_copies


def benchmark(*queries: Query) -> Benchmark:
    return Benchmark("mine", {}, {"": [*queries]}, ("mAP",))


def ignored(made: Benchmark) -> list[set[str]]:
    return [set(query.ignored) for query in made.variants[""]]


PAIR = Query("q", frozenset({"a"}), frozenset({"q"}))


def hashes(**contents: int) -> dict[str, bytes]:
    return {name: bytes([content]) for name, content in contents.items()}


def test_a_gallery_without_copies_stays_as_it_is() -> None:
    before = benchmark(PAIR)
    assert without_copies(before, hashes(q=0, a=1, b=2)) == before


def test_copies_of_the_query_and_of_a_right_answer_are_junk() -> None:
    made = without_copies(benchmark(PAIR), hashes(q=0, q2=0, a=1, a2=1, b=2, b2=2))
    assert ignored(made) == [{"q", "q2", "a2"}]
    assert made.notes == (
        "byte-identical copies of a query or of a right answer, left out of its ranking: "
        "2 (a2, q2)",
    )


def test_a_copy_that_is_named_is_right() -> None:
    made = without_copies(benchmark(PAIR), hashes(q=0, a=0, b=0))
    assert ignored(made) == [{"q", "b"}]
    assert made.variants[""][0].relevant == {"a"}
    assert made.notes[1] == (
        "byte-identical copies of their query, right because the ground truth names them: 1 (a)"
    )


def test_copies_of_junk_are_junk_and_those_of_wrong_answers_are_wrong() -> None:
    query = Query("q", frozenset({"a"}), frozenset({"q", "junk"}))
    made = without_copies(benchmark(query), hashes(q=0, a=1, junk=2, junk2=2, b=3, b2=3))
    assert ignored(made) == [{"q", "junk", "junk2"}]


def test_each_query_has_its_own_copies() -> None:
    other = Query("b", frozenset({"c"}), frozenset({"b"}))
    made = without_copies(benchmark(PAIR, other), hashes(q=0, q2=0, a=1, b=2, b2=2, c=3))
    assert ignored(made) == [{"q", "q2"}, {"b", "b2"}]


@pytest.mark.parametrize(("relevant", "expected"), [("a", {"leak"}), ("leak", set())])
def test_a_query_that_is_a_file_of_its_own_may_be_in_the_gallery(
    relevant: str, expected: set[str], tmp_path: Path
) -> None:
    (file := tmp_path / "q.jpg").write_bytes(b"")
    query = Query("q", frozenset({relevant}), path=file)
    empty = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    made = without_copies(benchmark(query), hashes(a=1) | {"leak": empty})
    assert ignored(made) == [expected]


def test_many_copies_are_told_by_their_number() -> None:
    copies = {f"q{n}": 0 for n in range(9)}
    made = without_copies(benchmark(PAIR), hashes(q=0, a=1, **copies))
    assert made.notes[0].endswith(": 9 (q0, q1, q2, q3, q4 and 4 more)")
