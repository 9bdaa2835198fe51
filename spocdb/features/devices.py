"""The machine's devices, and their fastest precision."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

import torch

from spocdb.errors import ConfigError
from spocdb.machine import n_cores

Result = TypeVar("Result")

# How often a matrix product is timed in each precision, and its side: half a millisecond each.
N_PRODUCTS, PRODUCT_SIDE = 10, 256


def find_devices(name: str) -> list[torch.device]:
    """Return devices by name: "cpu", "mps", "cuda:1", "cuda" for all of them, "auto" the best.

    Also limits torch's threads to the cores of this process. torch's default counts the cores of
    the machine and ignores the CPU quota of a container.

    Raises:
        ConfigError: The machine has no such device.
    """
    if torch.get_num_threads() > n_cores():
        torch.set_num_threads(n_cores())
    if name == "auto":
        name = _best_kind()
    try:
        devices = [torch.device(name)]
        if name == "cuda":
            # Number each device, even a single one: parts of torchvision need an index.
            indices = range(max(1, torch.cuda.device_count()))
            devices = [torch.device("cuda", index) for index in indices]
        for device in devices:
            # torch reports a missing device only when it is used.
            torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"no device {name!r} on this machine: try auto or cpu", field="device"
        ) from error
    return devices


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 if the device computes it in hardware, and faster than float32."""
    fast = {"cpu": _cpu_has_bfloat16, "cuda": _cuda_has_bfloat16}.get(device.type)
    return torch.bfloat16 if fast and fast() else torch.float32


def on_one_core(work: Callable[[], Result]) -> Result:
    """Return the result of work whose time tells a core's rate, done by one thread of torch."""
    # torch's number of threads is set per thread.
    with ThreadPoolExecutor(1, "rates", torch.set_num_threads, (1,)) as core:
        return core.submit(work).result()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error says that a device's memory did not suffice."""
    # CUDA raises OutOfMemoryError. MPS has only the message. cuDNN tries its algorithms in turn and
    # then reports that it found none.
    said = ("out of memory", "unable to find an engine", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in said)


def _best_kind() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cpu_has_bfloat16() -> bool:
    # Private functions, which a version of torch may lack; float32 is then the safe answer.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names) and _is_faster_in_bfloat16()


@cache
def _is_faster_in_bfloat16() -> bool:
    """Compare matrix products on one core, which takes some milliseconds.

    The CPU's flags do not tell: AVX512-BF16 without AMX has twice the rate of float32 on AMD's
    CPUs, and half of it on Intel's.
    """
    seconds = on_one_core(partial(_seconds_of_products, [torch.float32, torch.bfloat16]))
    return seconds[torch.bfloat16] < seconds[torch.float32]


def _seconds_of_products(dtypes: Sequence[torch.dtype]) -> dict[torch.dtype, float]:
    seconds = dict.fromkeys(dtypes, float("inf"))
    for _ in range(N_PRODUCTS):
        for dtype in dtypes:
            factor = torch.ones(PRODUCT_SIDE, PRODUCT_SIDE, dtype=dtype)
            began = time.perf_counter()
            factor @ factor
            # The least, because another process may have had the core meanwhile.
            seconds[dtype] = min(seconds[dtype], time.perf_counter() - began)
    return seconds


def _cuda_has_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
