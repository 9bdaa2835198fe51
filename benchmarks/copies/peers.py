"""Peers from imagededup: its perceptual hash, and its CNN with the networks whose weights are here.

imagededup's own network is MobileNetV3-small. Where its weights cannot be downloaded, its CNN runs
with other networks, which it allows: as it does with its own, it takes the average of the last
feature map of the middle 224 x 224 of a picture of 256 x 256, and compares by the cosine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.copies.halves import Half
from benchmarks.copies.methods import Matrix, Method
from spocdb.features.recipes import make_recipe
from spocdb.features.trunks import build_trunk
from spocdb.features.weights import load_state_dict
from spocdb.recipe_options import IMAGENET_MEAN, IMAGENET_STD
from spocdb.records import Float32Array

# imagededup's own network.
OWN = "mobilenet_v3_small"
MISSING = (
    "imagededup is not installed, so spocdb is measured alone: "
    "python -m pip install --no-deps imagededup PyWavelets"
)


def available(weights: Mapping[str, Path]) -> Iterator[Method]:
    """Yield the peers: none if imagededup is not installed."""
    try:
        from imagededup.methods import PHash
    except ImportError:
        return
    yield Hashed(PHash(verbose=False))
    for network, file in weights.items():
        yield Convolved(network, file)


@dataclass(frozen=True, slots=True)
class Hashed:
    """imagededup's PHash: 64 bits, compared by the number of different ones."""

    encoder: Any
    name: str = "imagededup, PHash"

    def compare(self, half: Half, other: Half) -> Matrix:
        """Hash the pictures and count the bits in which they differ."""
        found = self.encoder.encode_images(str(half.folder), num_enc_workers=0)
        return Matrix(bit_distances([found[shown.file.name] for shown in half.files]))


@dataclass(frozen=True, slots=True)
class Convolved:
    """imagededup's CNN with a network whose weights are in a file."""

    network: str
    weights: Path

    @property
    def name(self) -> str:
        """Return the name in tables."""
        return f"imagededup, CNN, {self.network}"

    def compare(self, half: Half, other: Half) -> Matrix:
        """Encode the pictures and compare them by the cosine."""
        from imagededup.methods import CNN
        from imagededup.utils import CustomModel

        model = CustomModel(self.network, Averaged(self.network, self.weights), _transform())
        found = CNN(verbose=False, model_config=model).encode_images(str(half.folder))
        return Matrix(cosine_distances(np.stack([found[f.file.name] for f in half.files])))


class Averaged(nn.Module):
    """A network's last feature map, averaged: RGB of 0 to 1 (N, 3, H, W) -> (N, C)."""

    def __init__(self, network: str, weights: Path) -> None:
        super().__init__()
        state = load_state_dict(weights)
        if network == OWN:
            from torchvision.models import mobilenet_v3_small

            whole = mobilenet_v3_small(weights=None)
            whole.load_state_dict(state)
            self.layers = whole.features
            self._mean, self._std = _shaped(IMAGENET_MEAN), _shaped(IMAGENET_STD)
        else:
            recipe = make_recipe(network, "", relu=True)
            self.layers = build_trunk(recipe, state)
            self._mean, self._std = _shaped(recipe.mean), _shaped(recipe.std)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        averaged: Tensor = self.layers((images - self._mean) / self._std).mean(dim=(2, 3))
        return averaged


def _shaped(colours: Sequence[float]) -> Tensor:
    """Return values of 0 to 255, one for each colour, as (1, 3, 1, 1) of 0 to 1."""
    return torch.tensor([*colours]).view(1, 3, 1, 1) / 255


def _transform() -> Any:
    """Return imagededup's preprocessing, without the normalisation, which networks differ in."""
    from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor

    return Compose([Resize((256, 256)), CenterCrop(224), ToTensor()])


def bit_distances(hashes: list[str]) -> Float32Array:
    """Return the numbers of different bits (n, n) of hexadecimal hashes."""
    bits = np.unpackbits(np.array([[*bytes.fromhex(text)] for text in hashes], np.uint8), axis=1)
    signs = 2 * bits.astype(np.float32) - 1
    distances: Float32Array = (signs.shape[1] - signs @ signs.T) / 2
    return distances


def cosine_distances(vectors: Float32Array) -> Float32Array:
    """Return 1 - cosine (n, n) of vectors (n, C)."""
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    distances: Float32Array = 1 - units @ units.T
    return distances
