"""A benchmark's gallery, ingested by one method, embedded in several ways and searched."""

import logging
import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from spocdb import search as searching
from spocdb.api import Database
from spocdb.db import evaluations, images
from spocdb.db import search as db_search
from spocdb.db.projections import ProjectionSummary
from spocdb.errors import ConfigError, ImageError, NotEnoughSamples
from spocdb.evaluation import measures
from spocdb.evaluation.benchmark import Benchmark, Query, completeness, restricted
from spocdb.evaluation.copies import without_copies
from spocdb.evaluation.methods import Method
from spocdb.evaluation.options import Options
from spocdb.evaluation.results import Answer, Embedding, FittedOn, Result
from spocdb.images.regular import read_bytes
from spocdb.records import Crop, Float32Array, Recipe
from spocdb.search import Request

log = logging.getLogger(__name__)

# Most results requested from the index: pgvector's largest ef_search.
INDEX_DEPTH = 1000
# Images and queries timed for the costs, and the results per timed query.
N_TIMED, K_TIMED = 16, 10
# Names kept of each answer.
N_SHOWN = 8

# Name, path and crop: they determine the raw descriptor of a query that is not stored.
View = tuple[str, Path | None, Crop | None]


@dataclass(frozen=True, slots=True)
class Setting:
    """One embedding of a gallery: its kind and the id of its projection."""

    embedding: Embedding
    dim: int
    fitted_on: FittedOn
    projection: int


class Notes:
    """Logs each warning once, because all methods meet the same gaps of a benchmark."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, line: str) -> None:
        """Log a line, unless it was logged before."""
        if line not in self._said:
            self._said.add(line)
            log.warning("%s", line)

    def missing(self, benchmark: Benchmark) -> None:
        """Log a benchmark's notes on missing data."""
        for note in (*benchmark.notes, completeness(benchmark)):
            if note:
                self.warn(f"{benchmark.name}: {note}")


class Gallery:
    """A benchmark's gallery, ingested by a method, and the descriptors of its queries."""

    def __init__(
        self,
        db: Database,
        benchmark: Benchmark,
        method: Method,
        gallery: str,
        train: str,
        options: Options,
        notes: Notes,
    ) -> None:
        self.db, self.method, self.name, self.train = db, method, gallery, train
        by_path = {str(path): name for name, path in benchmark.images.items()}
        with db.engine.connection() as connection:
            stored = images.paths(connection, gallery)
            contents = evaluations.contents(connection, gallery)
        self.names = {id_: by_path[path] for id_, path in stored.items()}
        self.ids = {name: id_ for id_, name in self.names.items()}
        self.recipe: Recipe = next(e.recipe for e in db.extractors() if gallery in e.collections)
        # Limited to the gallery's size: a longer short list would bypass the index.
        listed = min(method.refinement.rerank, len(self.ids))
        self.refinement = replace(method.refinement, rerank=listed)
        self.extractor = db.engine.extractor(self.recipe, options.device, options.precision)
        self.benchmark = restricted(benchmark, self.ids)
        self._raw = dict(self._described(notes))
        self.benchmark = _without(self.benchmark, self._raw)
        named = {self.names[id_]: sha256 for id_, sha256 in contents.items()}
        self.benchmark = without_copies(self.benchmark, named)
        notes.missing(self.benchmark)

    def measure(self, options: Options) -> Iterator[Result]:
        """Yield the results of every setting."""
        per_image = self._milliseconds_an_image()
        for setting in self._settings(options):
            self.db.pca.activate(setting.projection, self.name)
            if self.method.augmentation:
                if setting.embedding == "raw":
                    continue
                self.db.pca.augment(self.name, **asdict(self.method.augmentation))
            costs = {"image": per_image, "query": self._milliseconds_a_query()}
            for variant, queries in self.benchmark.variants.items():
                if queries:
                    yield from self._results(setting, variant, queries, costs)

    def _settings(self, options: Options) -> Iterator[Setting]:
        raw = next(c for c in self.db.collections() if c.name == self.name)
        yield Setting("raw", raw.dim, "", raw.projection)
        fits: list[tuple[Embedding, FittedOn, str]] = [("whitened", "gallery", self.name)]
        if options.train is not None:
            fits = [("pca", "train", self.train), ("whitened", "train", self.train), *fits]
        else:
            fits = [("pca", "gallery", self.name), *fits]
        for embedding, fitted_on, collection in fits:
            for dim in options.dims:
                try:
                    number = self.db.pca.fit(
                        collection,
                        dim=dim,
                        whiten=embedding == "whitened",
                        regularisation=self.method.regularisation,
                    )
                except (NotEnoughSamples, ConfigError) as error:
                    log.warning(
                        "%s: %s %s on the %s: %s",
                        self.method.name,
                        embedding,
                        dim,
                        fitted_on,
                        error,
                    )
                    continue
                yield Setting(embedding, dim, fitted_on, number)
        yield from self._given(options.projections)

    def _given(self, numbers: Sequence[int]) -> Iterator[Setting]:
        """Yield the database's own projections; log those of another extractor."""
        for number in numbers:
            summary, _ = self.db.pca.show(number)
            if summary.extractor == self.recipe.name:
                yield Setting(_embedding_of(summary), summary.dim, "given", number)
            else:
                log.warning(
                    "%s: projection %s is of %s, not of %s: not measured",
                    *(self.method.name, number, summary.extractor, self.recipe.name),
                )

    def _results(
        self, setting: Setting, variant: str, queries: Sequence[Query], costs: dict[str, float]
    ) -> Iterator[Result]:
        exact = [self._ranking(query, exact=True)[0] for query in queries]
        indexed = [self._ranking(query, exact=False) for query in queries]
        is_indexed = all(used for _, used in indexed)
        summary, _ = self.db.pca.show(setting.projection)
        ranks = [measures.ranks_of(r, q) for r, q in zip(exact, queries, strict=True)]
        for measure in self.benchmark.measures:
            values = _values(measure, exact, queries)
            by_index = _values(measure, [ranking for ranking, _ in indexed], queries)
            yield Result(
                benchmark=self.benchmark.name,
                variant=variant,
                dataset=self.benchmark.dataset,
                method=self.method.name,
                embedding=setting.embedding,
                dim=setting.dim,
                fitted_on=setting.fitted_on,
                measure=measure,
                exact=mean(values),
                by_index=mean(by_index) if is_indexed else None,
                recipe=asdict(self.recipe),
                projection={
                    "kind": setting.embedding,
                    "dim": setting.dim,
                    "fitted_on": setting.fitted_on,
                    "n_samples": summary.n_samples,
                    "images_sha256": summary.fitted_on.get("images_sha256", ""),
                    **({"number": summary.id} if setting.fitted_on == "given" else {}),
                    **summary.settings,
                },
                search={
                    **asdict(self.refinement),
                    "augmentation": asdict(self.method.augmentation)
                    if self.method.augmentation
                    else None,
                    "precision": self.extractor.precision,
                },
                costs=costs,
                curve=_mean_curve(ranks, queries),
                answers=tuple(map(_answer, queries, values, exact)),
            )

    def _ranking(self, query: Query, *, exact: bool) -> tuple[list[str], bool]:
        """Return the names that a query finds, and whether the index was used."""
        k = measures.depth(query, self.benchmark.measures, len(self.ids))
        hits = self._search(query, k if exact else min(k, INDEX_DEPTH), exact=exact)
        return [self.names[hit.id] for hit in hits], bool(hits) and hits[0].method != "exact"

    def _search(self, query: Query, k: int, *, exact: bool) -> list[db_search.Hit]:
        with self.db.engine.connection() as connection:
            if query.is_stored:
                vector = db_search.embedding(connection, self.name, self.ids[query.name])
            else:
                vector = db_search.embed(connection, self.name, self._raw[_view(query)])
            request = Request(k, exact=exact, refinement=self.refinement)
            return searching.nearest(connection, self.name, vector, request)

    def _described(self, notes: Notes) -> Iterator[tuple[View, Float32Array]]:
        """Yield the raw descriptors of the queries that are not stored in the gallery."""
        queries = (q for queries in self.benchmark.variants.values() for q in queries)
        for view in dict.fromkeys(_view(q) for q in queries if not q.is_stored):
            name, path, crop = view
            try:
                yield view, self._extract(path or self.benchmark.images[name], crop)
            except (OSError, ImageError) as error:
                notes.warn(f"{self.benchmark.name}: query {name} is left out: {error}")

    def _extract(self, path: Path, crop: Crop | None = None) -> Float32Array:
        limits = self.db.settings.limits
        return searching.describe(
            read_bytes(path), self.recipe, lambda: self.extractor, limits, crop
        )

    def _milliseconds_an_image(self) -> float:
        paths = list(self.benchmark.images.values())[: N_TIMED + 1]
        # One extra for warm-up: the first allocates memory and chooses kernels.
        return _median_milliseconds(self._extract, paths)

    def _milliseconds_a_query(self) -> float:
        (queries, *_) = [q for q in self.benchmark.variants.values() if q]
        return _median_milliseconds(
            lambda query: self._search(query, K_TIMED, exact=False), list(queries)[: N_TIMED + 1]
        )


def _embedding_of(summary: ProjectionSummary) -> Embedding:
    if summary.kind == "pca" and summary.settings["whiten"]:
        return "whitened"
    return summary.kind


def _view(query: Query) -> View:
    return query.name, query.path, query.crop


def _without(benchmark: Benchmark, described: Container[View]) -> Benchmark:
    """Return a benchmark without the queries that could not be described."""
    variants = {
        variant: [q for q in queries if q.is_stored or _view(q) in described]
        for variant, queries in benchmark.variants.items()
    }
    return restricted(replace(benchmark, variants=variants), benchmark.images)


def _median_milliseconds(function: Callable[[Any], object], items: Sequence[Any]) -> float:
    seconds = []
    for item in items:
        began = time.perf_counter()
        function(item)
        seconds.append(time.perf_counter() - began)
    return 1000 * median(seconds[1:] or seconds)


def _values(
    measure: str, rankings: Sequence[Sequence[str]], queries: Sequence[Query]
) -> list[float]:
    function = measures.MEASURES[measure]
    return [
        function(measures.ranks_of(ranking, query), len(query.relevant))
        for ranking, query in zip(rankings, queries, strict=True)
    ]


def _mean_curve(ranks: Sequence[Sequence[int]], queries: Sequence[Query]) -> tuple[float, ...]:
    curves = [
        measures.precision_curve(r, len(q.relevant)) for r, q in zip(ranks, queries, strict=True)
    ]
    return tuple(np.mean(curves, axis=0).tolist())


def _answer(query: Query, value: float, ranking: Sequence[str]) -> Answer:
    shown = [name for name in ranking if name not in query.ignored][:N_SHOWN]
    return Answer(query.name, value, tuple((name, name in query.relevant) for name in shown))
