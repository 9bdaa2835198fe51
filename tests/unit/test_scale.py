"""What is said of large collections follows from the records."""

import pytest

from benchmarks import parts, record, scale
from benchmarks.record import Figure


def test_the_tables_of_the_page_are_those_of_the_newest_records() -> None:
    about, figures = record.newest()
    kept = record.latest(parts.NAME)["figures"]
    page = scale.SCALE.read_text()
    assert scale.written(page, about, figures, kept) == page


def test_bytes_and_times_grow_by_their_laws() -> None:
    names = ("image", "raw", "embedding", "index")
    measured = {f"growth to 1,000,000, bytes of {name}": 250.0 for name in names}
    measured |= {"halfvec, bytes of index": 900.0, "bit, bytes of index": 400.0}
    measured |= {"halfvec, index build": 600.0, "load, 512 raw + 256": 1e4}
    measured |= {"ingest, mini at 256, CPU from 640 x 480": 100.0, "ingest, vgg19 at 586, CPU": 1.0}
    rows = {what: cells for what, *cells in scale._bytes(measured)}
    assert rows["rows: image, raw descriptor, embedding"] == ["7.5 GB", "75 GB", "750 GB"]
    times = {what: cells for what, *cells in scale._time(measured)}
    # n log n: ten times the images, and 7/6 of the steps.
    assert times["index, one graph that fits into memory"][0] == "1.94 h"
    assert times["writing rows"][0] == "17 min"
    assert times["ingest by VGG-19"][2] == "31.7 years"


def test_a_walk_lies_on_the_line_through_those_measured() -> None:
    measured = {f"halfvec, ef_search {w}, p50 of processor": 1 + w / 20 for w in scale.WIDTHS}
    assert scale._walk(measured, 60, 1_000_000) == pytest.approx(4)
    assert scale._walk(measured, 60, 1_000_000_000) == pytest.approx(6)


def test_parts_are_shown_beside_one_table() -> None:
    figures = [
        record.as_dict(Figure(f"{n} tables, search", n, "ms", 1.0, "one table")) for n in (1, 4, 16)
    ]
    assert "| search | 1.00 x | 4.00 x | 16.00 x |" in scale.side_by_side(figures)
