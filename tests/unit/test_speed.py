"""The stage that limits, and the advice, follow from the figures."""

from dataclasses import replace
from typing import Any

import pytest

from spocdb.bench.speed import Machine, Name, Speed, Stage, advice

MACHINE = Machine(
    device="cpu",
    precision="bfloat16",
    has_bfloat16=True,
    n_cores=2,
    extractor="vgg19-01234567",
    backbone="vgg19",
    size=586,
    megapixels=0.8,
    megabytes=0.3,
    round_trip=0.1,
    synchronous_commit=True,
)


def speed(limit: Name, **machine: Any) -> Speed:
    rates: dict[Name, float] = {"read": 2000, "decode": 400, "network": 1000, "write": 900}
    stages = tuple(Stage(name, 10 if name == limit else r) for name, r in rates.items())
    return Speed(replace(MACHINE, **machine), stages, 8, {}, 100, 0)


def test_the_slowest_stage_limits_and_the_next_one_is_named() -> None:
    measured = speed("network")
    assert (measured.limit.name, measured.next_limit.name) == ("network", "decode")
    assert measured.share(measured.limit) == pytest.approx(0.8)
    first, then = advice(measured)
    assert first.startswith("limited by the network stage")
    assert then.startswith("then by the decode stage, at 400.0 images/s; on a CPU these two share")


@pytest.mark.parametrize(
    ("measured", "words", "others"),
    [
        (speed("network"), ["a GPU", "`extractor='mini'`"], ["float32"]),
        (speed("network", backbone="mini"), ["a GPU", "`size=...` below"], ["`extractor='mini'`"]),
        (
            speed("network", has_bfloat16=False, precision="float32"),
            ["not fast in bfloat16", "a GPU"],
            [],
        ),
        (speed("network", precision="float32"), ["though this CPU is fast in bfloat16"], []),
        (speed("network", device="cuda"), ["another GPU"], ["float32"]),
        (speed("decode"), ["more cores than 2"], ["smaller files"]),
        (speed("decode", megapixels=12.0), ["12.0 megapixels become 0.34"], []),
        (speed("read"), ["0.30 MB", "faster disk"], []),
        (speed("write"), ["synchronous_commit = off"], ["`batch_size=...`"]),
        (
            speed("write", synchronous_commit=False, round_trip=20.0),
            ["20.0 ms away", "`batch_size=...`"],
            ["synchronous_commit"],
        ),
    ],
)
def test_the_advice_fits_the_limit(measured: Speed, words: list[str], others: list[str]) -> None:
    line = advice(measured)[0]
    assert all(word in line for word in words), line
    assert not any(word in line for word in others), line
