"""Which devices there are, and what they are fast in."""

import torch

from spocdb.errors import ConfigError
from spocdb.machine import n_cores


def find_devices(name: str) -> list[torch.device]:
    """Return devices by name: "cpu", "mps", "cuda:1", "cuda" for all of them, "auto" the best.

    From then on torch computes with no more threads than this process has cores; by itself it
    counts the machine's, whatever the CPU quota of a container is. Raises ConfigError.
    """
    if torch.get_num_threads() > n_cores():
        torch.set_num_threads(n_cores())
    if name == "auto":
        name = _best_kind()
    try:
        devices = [torch.device(name)]
        if name == "cuda":
            # By number each, also a single one: not all of torchvision knows a "current" device.
            indices = range(max(1, torch.cuda.device_count()))
            devices = [torch.device("cuda", index) for index in indices]
        for device in devices:
            # Only using it shows that a device is there.
            torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"no device {name!r} on this machine: try auto or cpu", field="device"
        ) from error
    return devices


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where a device is fast in it, else float32."""
    fast = {"cpu": _cpu_has_bfloat16, "cuda": _cuda_has_bfloat16}.get(device.type)
    return torch.bfloat16 if fast and fast() else torch.float32


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether a device's memory did not suffice."""
    # CUDA has a class of its own for it, MPS only these words; cuDNN tries one way after the other,
    # and says in the end that there is none.
    said = ("out of memory", "unable to find an engine", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in said)


def _best_kind() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cpu_has_bfloat16() -> bool:
    # Private, so perhaps gone in some version of torch: float32 is always right.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _cuda_has_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
