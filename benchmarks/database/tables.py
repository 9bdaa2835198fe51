"""The tables of the database benchmark in docs/explanation/performance.md."""

import re
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.record import Figure, number

ASKED = re.compile(r"(.+?), (?:ef_search|efSearch) (\d+), recall@10")
GROWN = re.compile(r"growth to ([\d,]+), index build")
FILTERED = re.compile(r"filter that (\d+) % match, recall@10")
TOGETHER = re.compile(r"(\d+) clients, queries")

Figures = Mapping[str, Figure]


def tables(figures: Sequence[Figure]) -> str:
    """Return all tables; rows without figures are left out."""
    by_name = {figure.name: figure for figure in figures}
    blocks = [
        _table("| | rows/s | beside | ratio |", _rates(by_name)),
        _table("| index | build | shared memory | an image takes |", _builds(by_name)),
        _table("| index | its width | recall@10 | p50 | p99 |", _kinds(by_name)),
        _table("| the same search | p50 | by hand | time | time of processors |", _ways(by_name)),
        _table("| images that match | recall@10 | p50 | p99 | exact |", _filters(by_name)),
        _table("| clients | queries/s | p50 | p99 |", _clients(by_name)),
        _table("| re-projection | | beside | ratio |", _reprojection(by_name)),
    ]
    return "\n".join(blocks)


def _table(header: str, rows: Iterator[str]) -> str:
    rule = "|---" * (header.count("|") - 1)
    return f"{header}\n{rule}|\n{''.join(rows)}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _rates(known: Figures) -> Iterator[str]:
    for name in ("load, 512 raw + 256", "load, beside INSERT per row"):
        if figure := known.get(name):
            yield _row("load, 512 raw + 256", number(figure.value), *_beside(figure))


def _builds(known: Figures) -> Iterator[str]:
    sizes = [found[1] for name in known if (found := GROWN.fullmatch(name))]
    if sizes:
        grown = f"growth to {sizes[-1]}"
        yield _row(
            f"vector, {sizes[-1]} images",
            _minutes(known, f"{grown}, index build"),
            _of(known, f"{grown}, build memory"),
            _of(known, f"{grown}, bytes of index"),
        )
    for kind in ("halfvec", "bit", "faiss HNSW"):
        if f"{kind}, index build" in known:
            yield _row(
                kind,
                _minutes(known, f"{kind}, index build"),
                _of(known, f"{kind}, build memory"),
                _of(known, f"{kind}, bytes of index"),
            )


def _kinds(known: Figures) -> Iterator[str]:
    for name, figure in known.items():
        if asked := ASKED.fullmatch(name):
            latencies = _latencies(known, name.removesuffix(", recall@10"))
            yield _row(asked[1], asked[2], f"{figure.value:.4f}", *latencies)
    if "faiss flat, p50" in known:
        yield _row("faiss flat", "", "1", *_latencies(known, "faiss flat"))


def _ways(known: Figures) -> Iterator[str]:
    for way in ("our view", "search()", "similar()", "similar in Python"):
        if figure := known.get(f"{way}, p50"):
            busy = known.get(f"{way}, p50 of processor")
            yield _row(
                way,
                f"{number(figure.value)} ms",
                f"{number(figure.peer or 0)} ms",
                f"{figure.ratio:.2f} x",
                f"{busy.ratio:.2f} x" if busy else "",
            )


def _filters(known: Figures) -> Iterator[str]:
    for name, figure in known.items():
        if found := FILTERED.fullmatch(name):
            begin = name.removesuffix(", recall@10")
            exact = _of(known, f"{begin}, by an exact scan")
            yield _row(f"{found[1]} %", f"{figure.value:.4f}", *_latencies(known, begin), exact)


def _clients(known: Figures) -> Iterator[str]:
    for name, figure in known.items():
        if found := TOGETHER.fullmatch(name):
            latencies = _latencies(known, f"{found[1]} clients")
            yield _row(found[1], number(figure.value), *latencies)


def _reprojection(known: Figures) -> Iterator[str]:
    names = ("re-projection", "re-projection, rate", "re-projection, memory by chunk")
    for name in (*names, "search meanwhile, p50", "search meanwhile, p99"):
        if figure := known.get(name):
            what = ", ".join(part for part in (name, figure.note) if part)
            yield _row(what, f"{number(figure.value)} {figure.unit}", *_beside(figure))


def _beside(figure: Figure) -> tuple[str, str]:
    if figure.peer is None:
        return "", ""
    return f"{number(figure.peer)} {figure.unit}, {figure.peer_name}", f"{figure.ratio:.2f} x"


def _latencies(known: Figures, begin: str) -> tuple[str, str]:
    return _of(known, f"{begin}, p50"), _of(known, f"{begin}, p99")


def _minutes(known: Figures, name: str) -> str:
    figure = known.get(name)
    return f"{figure.value / 60:.1f} min" if figure else ""


def _of(known: Figures, name: str) -> str:
    figure = known.get(name)
    return f"{number(figure.value)} {figure.unit}" if figure else ""
