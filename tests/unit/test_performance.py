"""The benchmarks' arithmetic, and the tables made from the newest record."""

from pathlib import Path

import pytest

from benchmarks import record, table
from benchmarks.arithmetic import gpu_limits, work_of
from benchmarks.database import tables
from benchmarks.memory import make_pictures
from benchmarks.numerics import run as compare_numerics
from benchmarks.record import Figure
from spocdb.features.backbones import find, names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "size", "gmac"),
    [
        ("vgg19", 586, 134.99),
        ("vgg16", 586, 106.09),
        ("mini", 256, 0.5726),
        # As torchvision states it for 224 pixels: 4.09 GMAC, of which its last layer is 2 million.
        ("resnet50", 224, 4.087),
        # As torchvision states them: 4.456, 4.491 and 8.366 GMAC, with their last layers.
        ("convnext_tiny", 224, 4.455),
        ("swin_t", 224, 4.490),
        ("efficientnet_v2_s", 384, 8.365),
    ],
)
def test_multiply_adds_are_counted(preset: str, size: int, gmac: float) -> None:
    work = work_of(preset, size)
    assert work.macs / 1e9 == pytest.approx(gmac, rel=1e-3)
    assert work.pixel_bytes == 3 * size * size


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_the_documentation_has_every_networks_arithmetic(name: str) -> None:
    work, size = work_of(name), find(name).size
    row = (
        f"| `{name}` | {size} x {size} | {work.macs / 1e9:.3g} G | {work.flops / 1e9:.3g} G | "
        f"{work.pixel_bytes / 1e6:.3g} MB |"
    )
    assert row in table.PERFORMANCE.read_text()


def test_a_gpu_is_limited_as_the_documentation_says() -> None:
    network, memory, link = (limit.per_second for limit in gpu_limits("vgg19"))
    assert (round(network, -2), round(memory, -2), round(link, -2)) == (2900, 13800, 48500)


def test_the_numerics_agree_with_their_peers() -> None:
    cosines = [f.value for f in compare_numerics(1500) if "cosine" in f.name]
    assert len(cosines) == 4
    assert min(cosines) > 0.999


def test_the_pictures_of_the_memory_benchmark_are_all_different(tmp_path: Path) -> None:
    files = sorted(make_pictures(tmp_path, 30).rglob("*.jpg"))
    assert len({file.read_bytes() for file in files}) == 30


def test_an_advantage_is_always_above_one_for_the_better() -> None:
    assert Figure("rate", 6.0, "images/s", 2.0).advantage == 3
    assert Figure("latency", 2.0, "ms", 6.0).advantage == 3
    assert Figure("alone", 2.0, "ms").advantage is None


def test_a_record_says_what_it_was_measured_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    file = record.opened(anew=False)
    record.keep(file, "one", [Figure("a", 1.0, "s"), Figure("b", 2.0, "s")])
    record.keep(file, "two", [Figure("c", 3.0, "s", 6.0, "peer")])
    # Parts that are measured again update the newest record, also one of an earlier day.
    earlier = file.rename(file.with_name(f"2001-01-01{file.name[10:]}"))
    assert record.opened(anew=False) == earlier
    record.keep(earlier, "one", [Figure("a", 4.0, "s")])
    about, figures = record.newest()
    assert figures == [Figure("c", 3.0, "s", 6.0, "peer"), Figure("a", 4.0, "s")]
    assert {"date", "commit", "machine", "python", "packages"} <= about.keys()
    assert about["machine"].keys() >= {"processor", "cores", "memory_gb", "instructions", "gpu"}
    assert record.opened(anew=True) == file and not file.exists()


def test_the_tables_are_those_of_the_newest_record() -> None:
    about, figures = record.newest()
    performance = table.PERFORMANCE.read_text()
    made = table.shown(about, figures)
    assert made.count("\n") > 4
    assert table.replaced(performance, "benchmarks", made) == performance
    assert table.replaced(performance, "limits", table.limits(about, figures)) == performance
    assert table.replaced(performance, "database", tables.tables(figures)) == performance
    served = table.serving(about, figures)
    serve = table.SERVE.read_text()
    assert served.count("\n") > 4 and table.replaced(serve, "serving", served) == serve
    assert max(file.stat().st_size for file in (table.PLOT, table.GROWTH)) < 150_000


def test_a_document_without_a_place_for_the_table_is_told() -> None:
    with pytest.raises(ValueError, match="no <!-- limits -->"):
        table.replaced("# Nothing\n", "limits", "")
