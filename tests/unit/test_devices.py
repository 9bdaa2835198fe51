"""The precision that a CPU is fastest in."""

from collections.abc import Iterator

import pytest
import torch

from spocdb.features import devices

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def not_measured_before() -> Iterator[None]:
    devices._is_faster_in_bfloat16.cache_clear()
    yield
    devices._is_faster_in_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("has_instructions", "seconds", "fastest"),
    [
        (True, 0.5, torch.bfloat16),
        (True, 2.0, torch.float32),
        (False, 0.5, torch.float32),
    ],
    ids=["AMD's AVX512-BF16", "Intel's without AMX", "emulated"],
)
def test_bfloat16_is_the_fastest_only_where_its_products_are(
    has_instructions: bool,
    seconds: float,
    fastest: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: has_instructions)
    measured = {torch.float32: 1.0, torch.bfloat16: seconds}
    monkeypatch.setattr(devices, "_seconds_of_products", lambda dtypes: measured)
    assert devices.fastest_dtype(CPU) == fastest


def test_products_are_timed_on_one_core_and_leave_the_threads_as_they_are() -> None:
    before = torch.get_num_threads()
    devices._is_faster_in_bfloat16()
    assert torch.get_num_threads() == before
    seconds = devices._seconds_of_products([torch.float32, torch.bfloat16])
    assert all(0 < taken < float("inf") for taken in seconds.values())
