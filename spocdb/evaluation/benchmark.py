"""A benchmark: a gallery of images, queries, and the relevant images of each query."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spocdb.errors import ConfigError
from spocdb.records import Crop
from spocdb.sources.walking import walk
from spocdb.wording import counted

# Missing names listed in a note; the rest is counted.
MOST_TOLD = 5

Images = Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Query:
    """One query: the gallery's image `name`, or a separate file at `path`.

    `relevant` are the names that it should find. `ignored` names are removed from its ranking
    before it is measured.
    """

    name: str
    relevant: frozenset[str]
    ignored: frozenset[str] = frozenset()
    crop: Crop | None = None
    path: Path | None = None

    @property
    def is_stored(self) -> bool:
        """Return whether the query is a whole image of the gallery, whose embedding is stored."""
        return self.path is None and self.crop is None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A gallery and its queries, in one or more variants; `measures` are names of measures.py.

    `official` are the numbers of images and queries of the complete data set, if it is a published
    one. `notes` describe missing data and its treatment.
    """

    name: str
    images: Images
    variants: Mapping[str, Sequence[Query]]
    measures: tuple[str, ...]
    official: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def dataset(self) -> dict[str, Any]:
        """Return the counts, and a hash of the names and the ground truth, to compare data sets."""
        truth = [
            [variant, q.name, str(q.crop), sorted(q.relevant), sorted(q.ignored)]
            for variant, queries in self.variants.items()
            for q in queries
        ]
        digest = hashlib.sha256(json.dumps([sorted(self.images), truth]).encode())
        n_queries = {variant: len(queries) for variant, queries in self.variants.items()}
        return {"images": len(self.images), "queries": n_queries, "sha256": digest.hexdigest()}


def find_images(folder: Path) -> dict[str, Path]:
    """Return all images below a folder, at any depth, by their names without the suffix.

    Raises:
        ConfigError: The folder does not exist, has no images, or has two of the same name.
    """
    if not folder.is_dir():
        raise ConfigError(f"no such folder: {folder}")
    found: dict[str, Path] = {}
    for path in map(Path, walk([folder], recursive=True)):
        if found.setdefault(path.stem, path) != path:
            raise ConfigError(
                f"two images have one name, {found[path.stem]} and {path}: "
                "give a folder that holds each once"
            )
    if not found:
        raise ConfigError(f"there are no images under {folder}")
    return found


def official_images(folder: Path, pattern: str, data_set: str, names: str) -> dict[str, Path]:
    """Return the images below a folder whose names match a data set's `pattern`.

    Raises:
        ConfigError: No name matches; the message contains the official `names`.
    """
    files = find_images(folder)
    images = {name: path for name, path in files.items() if re.fullmatch(pattern, name)}
    if not images:
        raise ConfigError(
            f"no image of {data_set} in {folder}: they are named {names}, "
            f"not {next(iter(files.values())).name}"
        )
    return images


def restricted(benchmark: Benchmark, present: Iterable[str]) -> Benchmark:
    """Restrict a benchmark to the present images, with notes on the missing ones.

    Missing relevant images are removed from the ground truth. A query is left out if its image or
    all of its relevant images are missing.

    Raises:
        ConfigError: No query is left.
    """
    there = set(present)
    images = {name: path for name, path in benchmark.images.items() if name in there}
    every = [query for queries in benchmark.variants.values() for query in queries]
    wanted = {name for q in every for name in q.relevant}
    unqueried = {q.name for q in every if not _is_there(q, there)}
    lost = {q.name for q in every if q.relevant and not q.relevant & there} - unqueried
    variants = {
        variant: [kept for q in queries if (kept := _kept(q, there)) is not None]
        for variant, queries in benchmark.variants.items()
    }
    notes = [
        *_missing("missing query image", "left out with the queries", unqueried),
        *_missing("missing relevant image", "removed from the ground truth", wanted - there),
        *_missing("query image", "left out, as no relevant image is there", lost),
        *_missing("image", "not readable", benchmark.images.keys() - there),
    ]
    if not any(variants.values()):
        raise ConfigError(
            f"{benchmark.name}: no query is left: {'; '.join(notes) or 'there is none'}"
        )
    fresh = [note for note in notes if note not in benchmark.notes]
    return replace(benchmark, images=images, variants=variants, notes=(*benchmark.notes, *fresh))


def completeness(benchmark: Benchmark) -> str | None:
    """Return a note on an incomplete official data set; None if it is complete."""
    if benchmark.official is None:
        return None
    n_queries = max(len(queries) for queries in benchmark.variants.values())
    found = (len(benchmark.images), n_queries)
    if found == benchmark.official:
        return None
    return (
        f"{found[0]} of the official {benchmark.official[0]} images and {found[1]} of "
        f"{benchmark.official[1]} queries: not comparable with published figures"
    )


def _kept(query: Query, there: set[str]) -> Query | None:
    relevant = query.relevant & there
    return replace(query, relevant=relevant) if relevant and _is_there(query, there) else None


def _is_there(query: Query, there: set[str]) -> bool:
    return query.name in there if query.path is None else os.path.isfile(query.path)


def _missing(noun: str, what: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    if not ordered:
        return []
    more = f" and {len(ordered) - MOST_TOLD} more" if len(ordered) > MOST_TOLD else ""
    return [f"{counted(len(ordered), noun)} {what}: {', '.join(ordered[:MOST_TOLD])}{more}"]
