"""Rounding a network to 8-bit integers: steps of its values from pictures, weights by channel."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features.integer_files import PRESET, Arrays, Convolution, Pool, Stack
from spocdb.features.integers import LARGEST, MIDDLE
from spocdb.features.trunks import Trunk
from spocdb.records import Recipe

# int8 has the numbers from -127 to 127; -128 would have no opposite.
LARGEST_WEIGHT = 127
# The part of the values between two convolutions that lies below the largest one that is held.
# Measured on `mini`, 1 - cosine to float32 in the mean: 0.0024, with 0.99995 0.0021, with 0.9995
# 0.0052. The largest value itself as bound gives half as much again.
KEPT = 0.9999
# Values are counted in bins of a 64th of an octave, from 2^-20 to 2^20. Bins instead of values make
# the steps equal on machines whose float32 differs in the last digit.
BINS_PER_OCTAVE, OCTAVES = 64, 20
N_BINS = 2 * OCTAVES * BINS_PER_OCTAVE

Simple = nn.Conv2d | nn.ReLU | nn.MaxPool2d


def quantize(recipe: Recipe, trunk: nn.Module, pictures: Iterable[Tensor]) -> Stack:
    """Round a network to integers, by pictures that are normalised RGB (1, 3, H, W) each.

    The trunk ends with a convolution.

    Raises:
        ConfigError: The network is no plain stack of convolutions.
        NotEnoughSamples: There are no pictures.
    """
    layers = plain(recipe, trunk)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    bounds = [_of_pixels(recipe), *_bounds(layers, pictures)]
    steps = [bounds[0] / (MIDDLE - 1), *(bound / LARGEST for bound in bounds[1:])]
    names = {id(layer): f"conv{n}" for n, layer in enumerate(convolutions, 1)}
    return Stack(
        origin=f"{recipe.backbone}, weights {recipe.weights[:12]}",
        layer=recipe.layer,
        layers=_told(layers, names, iter(steps)),
        arrays={names[id(layer)]: _arrays(layer) for layer in convolutions},
        preset={name: getattr(recipe, name) for name in PRESET},
    )


def plain(recipe: Recipe, trunk: nn.Module) -> Sequence[Simple]:
    """Return a trunk's layers, batch norms merged, with a ReLU after each convolution but the last.

    Raises:
        ConfigError: The network is no plain stack of convolutions.
    """
    layers: list[nn.Module] = []
    for layer in _leaves(trunk):
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
        else:
            layers.append(layer)
    simple = [layer for layer in layers if isinstance(layer, Simple) and _is_simple(layer)]
    followed = [
        isinstance(after, nn.ReLU)
        for layer, after in pairwise(layers)
        if isinstance(layer, nn.Conv2d)
    ]
    starts_and_ends = layers and all(isinstance(layers[at], nn.Conv2d) for at in (0, -1))
    if len(simple) < len(layers) or not starts_and_ends or not all(followed):
        raise ConfigError(
            f"{recipe.backbone} is no plain stack of convolutions, which alone can be rounded to "
            "integers: use `extractor='mini'`, vgg16 or vgg19",
            field="extractor",
        )
    return simple


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of sequences, in order; any other module as it is."""
    if isinstance(module, nn.Sequential | Trunk):
        for child in module.children():
            yield from _leaves(child)
    else:
        yield module


def _is_simple(layer: Simple) -> bool:
    if isinstance(layer, nn.ReLU):
        return True
    if isinstance(layer, nn.MaxPool2d):
        return layer.padding == 0 and layer.dilation == 1
    sides = (layer.stride, layer.padding, layer.kernel_size)
    is_square = all(len(set(side)) == 1 for side in sides)
    is_dense = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    return is_square and is_dense


def _of_pixels(recipe: Recipe) -> float:
    """Return the largest absolute value of a normalised pixel."""
    ends = ((end - mean) / std for mean, std in _norms(recipe) for end in (0, 255))
    return max(map(abs, ends))


def _norms(recipe: Recipe) -> Iterator[tuple[float, float]]:
    return zip(recipe.mean, recipe.std, strict=True)


def _bounds(layers: Sequence[Simple], pictures: Iterable[Tensor]) -> list[float]:
    """Return the bound of the values that each convolution but the first one takes."""
    n = sum(isinstance(layer, nn.Conv2d) for layer in layers) - 1
    counts = torch.zeros(n, N_BINS, dtype=torch.int64)
    n_pictures = 0
    for picture in pictures:
        n_pictures += 1
        counts += torch.stack([*map(_counted, islice(_inputs(layers, picture), 1, None))])
    if not n_pictures:
        raise NotEnoughSamples("there are no pictures to choose the steps of integers by")
    return [_bound(each) for each in counts]


def _inputs(layers: Sequence[Simple], x: Tensor) -> Iterator[Tensor]:
    """Yield what each convolution takes."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            yield x
        x = torch.relu(x) if isinstance(layer, nn.ReLU) else layer(x)


def _counted(values: Tensor) -> Tensor:
    """Count values by bins of their logarithm; those below all bins, as zeros are, in the first."""
    # histc leaves them out.
    counts = torch.histc(values.log2(), N_BINS, -OCTAVES, OCTAVES).to(torch.int64)
    counts[0] += values.numel() - counts.sum()
    return counts


def _bound(counts: Tensor) -> float:
    """Return the upper end of the bin that the largest value kept is in."""
    below = counts.cumsum(0) >= KEPT * counts.sum()
    at = int(below.to(torch.int8).argmax()) + 1
    return float(2.0 ** (at / BINS_PER_OCTAVE - OCTAVES))


def _told(
    layers: Sequence[Simple], names: dict[int, str], steps: Iterator[float]
) -> list[Pool | Convolution]:
    told: list[Pool | Convolution] = []
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            told.append(Pool(_side(layer.kernel_size), _side(layer.stride), bool(layer.ceil_mode)))
        elif isinstance(layer, nn.Conv2d):
            padding = _side(layer.padding)
            told.append(
                Convolution(names[id(layer)], _side(layer.stride), padding, float(next(steps)))
            )
    return told


def _side(value: object) -> int:
    """Return the side of a square, which torch gives as a number or twice."""
    side = value[0] if isinstance(value, tuple) else value
    assert isinstance(side, int)
    return side


def _arrays(conv: nn.Conv2d) -> Arrays:
    """Round weights, each output channel by a scale of its own."""
    weight = conv.weight.detach().float()
    largest = weight.abs().amax(dim=(1, 2, 3)).clamp(min=torch.finfo(torch.float32).tiny)
    scales = largest / LARGEST_WEIGHT
    rounded = (weight / scales[:, None, None, None]).round().to(torch.int8)
    bias = torch.zeros(len(weight)) if conv.bias is None else conv.bias.detach().float()
    return Arrays(rounded.numpy(), scales.numpy().astype(np.float32), bias.numpy())
