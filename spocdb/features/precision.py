"""The precision that a network runs in: float32, or bfloat16 where it is fast and fine enough."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from spocdb.errors import UnknownChoice
from spocdb.features.backbones import backbone_of
from spocdb.features.devices import fastest_dtype, find_devices
from spocdb.records import Recipe

Precision = Literal["auto", "float32", "bfloat16"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

# Least cosine of bfloat16's descriptor to float32's; measured on 421 photographs: 0.9997 or more.
LEAST_AGREEMENT = 0.9995


def check_precision(name: str) -> None:
    """Check the name of a precision.

    Raises:
        ConfigError: The precision is unknown.
    """
    if name != "auto" and name not in DTYPES:
        raise UnknownChoice("precision", name, ["auto", *DTYPES])


def settled(precision: Precision, recipe: Recipe, device: str) -> Precision:
    """Return "float32" where "auto" is nothing else on this device, else the precision as given.

    Raises:
        ConfigError: The precision is unknown, or the machine has no such device.
    """
    check_precision(precision)
    is_float32 = first_dtype(precision, recipe, find_devices(device)[0]) == torch.float32
    return "float32" if is_float32 else precision


def first_dtype(precision: Precision, recipe: Recipe, device: torch.device) -> torch.dtype:
    """Return the type to begin with; "auto" is the device's fastest, if the network allows it."""
    if precision != "auto":
        return DTYPES[precision]
    return fastest_dtype(device) if backbone_of(recipe).bfloat16 else torch.float32


def agree(fast: Tensor, exact: Tensor, dims: list[int]) -> bool:
    """Return whether the descriptors (N, sum of `dims`) of each recipe, of `dims` values, agree."""
    pairs = zip(torch.split(fast, dims, 1), torch.split(exact, dims, 1), strict=True)
    # NaN compares false, which counts as disagreement.
    return all(functional.cosine_similarity(*pair).item() >= LEAST_AGREEMENT for pair in pairs)
