"""Results of an evaluation, as records, a table and rows of the database."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import spocdb
from spocdb.api import Database
from spocdb.db import evaluations

Embedding = Literal["raw", "pca", "whitened", "discriminative", "head"]
# "given": a projection of the database, whatever it was fitted on.
FittedOn = Literal["", "train", "gallery", "given"]
NAMES: dict[Embedding, str] = {
    "raw": "raw",
    "pca": "PCA",
    "whitened": "PCA, whitened",
    "discriminative": "discriminative whitening",
    "head": "linear head",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One query's answer: a measure's value, and the first names, each with whether it is right."""

    query: str
    value: float
    found: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of one method: `exact` with an exact scan, `by_index` with the HNSW index.

    `by_index` is None if the index gave too few results and an exact scan replaced it. `recipe`,
    `projection` and `search` determine the figure. `costs` are milliseconds per image and per
    query. `curve` is the mean interpolated precision at measures.RECALL_LEVELS.
    """

    benchmark: str
    variant: str
    dataset: dict[str, Any]
    method: str
    embedding: Embedding
    dim: int
    fitted_on: FittedOn
    measure: str
    exact: float
    by_index: float | None
    recipe: dict[str, Any]
    projection: dict[str, Any]
    search: dict[str, Any]
    costs: dict[str, float]
    curve: tuple[float, ...]
    answers: tuple[Answer, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all values but `answers`, for JSON."""
        numbers = asdict(self)
        del numbers["answers"]
        return numbers


def save(db: Database, results: Iterable[Result]) -> None:
    """Store results in the database, in one transaction."""
    with db.engine.connection() as connection, connection.transaction():
        for result in results:
            evaluations.add(
                connection,
                {
                    "version": spocdb.__version__,
                    "benchmark": result.benchmark,
                    "variant": result.variant,
                    "dataset": result.dataset,
                    "method": result.method,
                    "recipe": result.recipe,
                    "projection": result.projection,
                    "search": result.search,
                    "measure": result.measure,
                    "exact": result.exact,
                    "by_index": result.by_index,
                    "costs": result.costs,
                },
            )


def headline(results: Sequence[Result]) -> Result:
    """Return the result with the highest exact figure of the first measure."""
    return max((r for r in results if r.measure == results[0].measure), key=lambda r: r.exact)


def as_table(results: Sequence[Result]) -> tuple[list[str], list[list[object]]]:
    """Return a header and rows: one row per method and embedding, one column per dimension.

    A cell holds the exact figure and the one with the index.
    """
    dims = sorted({r.dim for r in results if r.embedding != "raw"})
    columns: dict[int | str, str] = {"raw": "raw", **{d: str(d) for d in dims}}
    rows: dict[tuple[str, str], dict[int | str, str]] = {}
    costs = {}
    for r in results:
        row = rows.setdefault((r.method, _described(r)), {})
        row["raw" if r.embedding == "raw" else r.dim] = _figures(r)
        costs[r.method, _described(r)] = r.costs
    header = ["method", "embedding", *columns.values(), "ms/image", "ms/query"]
    lines: list[list[object]] = [
        [
            method,
            described,
            *(row.get(column, "") for column in columns),
            f"{costs[method, described]['image']:.0f}",
            f"{costs[method, described]['query']:.1f}",
        ]
        for (method, described), row in rows.items()
    ]
    return header, lines


def _described(result: Result) -> str:
    name = NAMES[result.embedding]
    if result.fitted_on == "given":
        return f"projection {result.projection['number']}: {name}"
    return f"{name}, fitted on the gallery" if result.fitted_on == "gallery" else name


def _figures(result: Result) -> str:
    by_index = "-" if result.by_index is None else f"{result.by_index:.4f}"
    return f"{result.exact:.4f} {by_index}"
