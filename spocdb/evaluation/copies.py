"""Byte-identical copies in a gallery are ignored unless the ground truth names them.

A copy has the same embedding as its twin. A copy of the query would take the first place from a
relevant image, and a copy of a relevant image would count as wrong. Neither depends on the method,
so both are removed from the ranking, as the query itself is. Images that the ground truth names
count as it defines.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from spocdb.evaluation.benchmark import MOST_TOLD, Benchmark, Query

Contents = Mapping[str, bytes]


def without_copies(benchmark: Benchmark, contents: Contents) -> Benchmark:
    """Return a benchmark whose queries ignore copies, with a note on their number.

    `contents` maps the names of the gallery's images to their sha256.
    """
    queries = _hashes(benchmark)
    twins: dict[bytes, set[str]] = defaultdict(set)
    for name, sha256 in contents.items():
        twins[sha256].add(name)
    variants = {
        variant: [_without(query, contents, queries, twins) for query in given]
        for variant, given in benchmark.variants.items()
    }
    notes = _notes(benchmark, variants, contents)
    return replace(benchmark, variants=variants, notes=(*benchmark.notes, *notes))


def _without(
    query: Query, contents: Contents, queries: Contents, twins: Mapping[bytes, set[str]]
) -> Query:
    known = [contents[name] for name in query.relevant | query.ignored if name in contents]
    if query.path is not None and query.name in queries:
        known.append(queries[query.name])
    copies = {name for sha256 in known for name in twins.get(sha256, ())} - query.relevant
    return replace(query, ignored=query.ignored | copies)


def _hashes(benchmark: Benchmark) -> dict[str, bytes]:
    """Return the sha256 of the queries with separate files, by name."""
    queries = (q for queries in benchmark.variants.values() for q in queries)
    paths = {q.name: q.path for q in queries if q.path is not None}
    return {name: hashlib.sha256(path.read_bytes()).digest() for name, path in paths.items()}


def _notes(before: Benchmark, variants: Mapping[str, list[Query]], contents: Contents) -> list[str]:
    pairs = [
        (old, new)
        for variant, queries in variants.items()
        for old, new in zip(before.variants[variant], queries, strict=True)
    ]
    junk = {name for old, new in pairs for name in new.ignored - old.ignored}
    right = {
        name
        for query, _ in pairs
        for name in query.relevant - {query.name}
        if query.name in contents and contents.get(name) == contents[query.name]
    }
    return [
        *_note(junk, "a query or of a right answer, left out of its ranking"),
        *_note(right, "their query, right because the ground truth names them"),
    ]


def _note(names: set[str], what: str) -> list[str]:
    if not names:
        return []
    told = sorted(names)[:MOST_TOLD]
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return [f"byte-identical copies of {what}: {len(names)} ({', '.join(told)}{more})"]
