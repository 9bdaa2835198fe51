"""Compute what 10 million, 100 million and a thousand million images take, from the records.

From the repository's root: python -m benchmarks.scale. It writes docs/explanation/scale.md.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import parts, record
from benchmarks.database.by_parts import PARTITIONS
from benchmarks.database.plots import by_steps, by_walks
from benchmarks.record import Figure, number
from benchmarks.table import DOCS, measured_on, replaced, table
from spocdb.db.building import M

SCALE = DOCS / "explanation" / "scale.md"

MILLION = 1_000_000
SIZES = (10 * MILLION, 100 * MILLION, 1000 * MILLION)
DIM = 256
# Of 20,000 images by pgvectorscale, and of 1,000 photographs: docs/explanation/performance.md,
# docs/how-to/thumbnails.md.
DISKANN, THUMBNAIL = 513.0, 9_500.0
# As `spocdb.db.building` estimates it: half precision, 2 m links, and what an element takes.
GRAPH = (DIM * 2 + 2 * M * 24 + 200) * 1.2
WIDTH = 40
WIDTHS = (40, 100, 200)

Measured = Mapping[str, float]


def main() -> None:
    """Write the tables."""
    about, figures = record.newest()
    kept = record.latest(parts.NAME)["figures"]
    SCALE.write_text(written(SCALE.read_text(), about, figures, kept))


def written(
    text: str,
    about: Mapping[str, Any],
    figures: Sequence[Figure],
    kept: Sequence[Mapping[str, Any]],
) -> str:
    """Return a page with its tables replaced by those of records: of a million, and of parts."""
    of_parts = {f["name"]: f["value"] for f in kept}
    text = replaced(text, "scale", shown(about, {f.name: f.value for f in figures}, of_parts))
    return replaced(text, "parts", side_by_side(kept))


def side_by_side(kept: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of what 4 and 16 tables take, beside one."""
    rows: dict[str, list[str]] = {}
    for figure in kept:
        what = figure["name"].partition(", ")[2]
        if what == "index build":
            what = f"{what}, {figure['note']}"
        ratio, value = figure["ratio"], figure["value"]
        rows.setdefault(what, []).append(f"{value:.3g}" if ratio is None else f"{ratio:.2f} x")
    header = ["", *(f"{n} table{'s' if n > 1 else ''}" for n in PARTITIONS)]
    return table(header, [[what, *cells] for what, cells in rows.items()])


def shown(about: Mapping[str, Any], measured: Measured, of_parts: Measured) -> str:
    """Return the tables: what was measured, and what follows from it for each size."""
    header = ["", *(f"{n // MILLION:,} million" for n in SIZES)]
    return "\n".join(
        [
            f"Measured on {measured_on(dict(about))}\n",
            table(["one million images of 256 dimensions", "measured"], [*_measured(measured)]),
            "Bytes:\n",
            table(header, [*_bytes(measured)]),
            "Building and filling, on two cores:\n",
            table(header, [*_time(measured)]),
            "A query, in milliseconds of one thread:\n",
            table(header, [*_query(measured, of_parts)]),
        ]
    )


def _measured(measured: Measured) -> Iterator[list[str]]:
    searches = [
        (
            f"{halves}, p50 of processor",
            f"{what}, recall {measured[f'{halves}, recall@10']:.3f}",
            "ms",
        )
        for halves, what in (
            ("halfvec, ef_search 40", "a search 40 wide"),
            ("halfvec, ef_search 100", "100 wide"),
        )
    ]
    for name, what, unit in (
        ("growth to 1,000,000, bytes of image", "a row of `images` with its indexes", "B"),
        ("growth to 1,000,000, bytes of raw", "a raw descriptor of 512 dimensions", "B"),
        ("growth to 1,000,000, bytes of embedding", "an embedding", "B"),
        ("growth to 1,000,000, bytes of index", "its place in an index, `hnsw-vector`", "B"),
        ("halfvec, bytes of index", "`hnsw-halfvec`", "B"),
        ("bit, bytes of index", "`hnsw-bit`", "B"),
        ("load, 512 raw + 256", "written", "rows/s"),
        ("halfvec, index build", "index build, `hnsw-halfvec`", "s"),
        ("halfvec, build memory", "its memory", "MB"),
        *searches,
        ("ingest, mini at 256, CPU from 640 x 480", "ingest by `mini`", "images/s"),
        ("ingest, vgg19 at 586, CPU", "ingest by VGG-19", "images/s"),
    ):
        yield [what, f"{number(measured[name])} {unit}"]


def _bytes(measured: Measured) -> Iterator[list[str]]:
    stored = sum(
        measured[f"growth to 1,000,000, bytes of {x}"] for x in ("image", "raw", "embedding")
    )
    kinds = {
        "hnsw-vector": measured["growth to 1,000,000, bytes of index"],
        "hnsw-halfvec": measured["halfvec, bytes of index"],
        "diskann": DISKANN,
        "hnsw-bit": measured["bit, bytes of index"],
    }
    yield ["rows: image, raw descriptor, embedding", *(_size(stored * n) for n in SIZES)]
    for kind, each in kinds.items():
        yield [f"index, `{kind}`", *(_size(each * n) for n in SIZES)]
    yield ["thumbnails, unless `--no-thumbnails`", *(_size(THUMBNAIL * n) for n in SIZES)]
    yield [
        "a graph in half precision while it is built, as estimated",
        *(_size(GRAPH * n) for n in SIZES),
    ]


def _time(measured: Measured) -> Iterator[list[str]]:
    build = measured["halfvec, index build"] / by_walks(MILLION)
    one = [build * by_walks(n) for n in SIZES]
    yield ["index, one graph that fits into memory", *map(_duration, one)]
    several = [n / (25 * MILLION) * build * by_walks(25 * MILLION) for n in SIZES[1:]]
    yield ["index, parts of 25 million", "", *map(_duration, several)]
    rate = measured["load, 512 raw + 256"]
    yield ["writing rows", *(_duration(n / rate) for n in SIZES)]
    for name, what in (
        ("ingest, mini at 256, CPU from 640 x 480", "ingest by `mini`"),
        ("ingest, vgg19 at 586, CPU", "ingest by VGG-19"),
    ):
        yield [what, *(_duration(n / measured[name]) for n in SIZES)]


def _query(measured: Measured, of_parts: Measured) -> Iterator[list[str]]:
    yield ["one table, 40 wide", *(number(_walk(measured, WIDTH, n)) for n in SIZES)]
    for n_parts in (4, 16):
        width = WIDTH * of_parts[f"{n_parts} tables, width"] / of_parts["1 tables, width"]
        each = (n_parts * _walk(measured, width, n / n_parts) for n in SIZES)
        yield [f"{n_parts} parts, {number(width)} wide each", *map(number, each)]


def _walk(measured: Measured, width: float, n: float) -> float:
    """Return the milliseconds of a walk: a line through those measured, growing with log n."""
    times = [measured[f"halfvec, ef_search {w}, p50 of processor"] for w in WIDTHS]
    middle, mean = sum(WIDTHS) / len(WIDTHS), sum(times) / len(times)
    slope = sum((w - middle) * (t - mean) for w, t in zip(WIDTHS, times, strict=True))
    slope /= sum((w - middle) ** 2 for w in WIDTHS)
    return (mean + slope * (width - middle)) * by_steps(int(n)) / by_steps(MILLION)


def _size(n_bytes: float) -> str:
    unit = "TB" if n_bytes >= 1e12 else "GB"
    return f"{number(n_bytes / (1e12 if unit == 'TB' else 1e9))} {unit}"


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    if hours >= 48:
        days = hours / 24
        return f"{number(days / 365)} years" if days >= 730 else f"{number(days)} days"
    return f"{number(hours)} h" if hours >= 1 else f"{math.ceil(seconds / 60)} min"


if __name__ == "__main__":
    main()
