"""RGB pixels -> raw descriptors, using the network of a recipe."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import RLock
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from spocdb.errors import ImageError
from spocdb.features.codebook_files import load as load_codebook
from spocdb.features.codebooks import Codebook
from spocdb.features.devices import find_devices
from spocdb.features.jpegs import decode_on
from spocdb.features.lanes import Lane, Lanes, OnDone, open_lanes, uncounted
from spocdb.features.network import Network, WithCodebook, positions
from spocdb.features.precision import Precision, agree, check_precision, first_dtype
from spocdb.features.recipes import channels, not_finite, split
from spocdb.features.runtimes import runtime_of
from spocdb.features.sharing import Sharing
from spocdb.images.decode import decode
from spocdb.records import Float32Array, Jpeg, Recipe, UInt8Array

# (H, W, 3), on the CPU or on the device.
Pixels = UInt8Array | Tensor

# Least cosine of the descriptors of a JPEG decoded on the device and with Pillow. They differ
# because the decoders upsample the colour channels differently.
LEAST_AGREEMENT_OF_JPEGS = 0.999

# Images per batch at VGG-19's size: for a GPU, and for each core of a CPU. A transaction writes one
# batch, and a killed process loses one, so a CPU's batches are small. Smaller images allow more per
# batch, up to the limits below.
GPU_BATCH, CORE_BATCH, FULL_SIZE = 64, 8, 586
LARGEST_GPU_BATCH, LARGEST_CPU_BATCH = 256, 64


class Extractor:
    """A recipe's network on one or more devices of one kind; thread-safe.

    Each lane computes one batch at a time. A CPU has one lane, which spreads the images over the
    cores, and another for single images; a GPU has two for both. With `others`, recipes that differ
    only in pooling, the descriptors of all recipes stand beside each other, in this order: the
    trunk runs once.
    """

    def __init__(
        self,
        recipe: Recipe,
        trunk: nn.Module,
        devices: Sequence[torch.device],
        precision: Precision = "auto",
        codebook: Codebook | None = None,
        others: Sequence[WithCodebook] = (),
    ) -> None:
        self.recipe, self._canvas = recipe, recipe.canvas
        self._recipes = [recipe, *(other for other, _ in others)]
        self.dim = sum(map(channels, self._recipes))
        self.device = devices[0]
        self._trunk, self._codebook, self._others = trunk, codebook, others
        self._dtype = first_dtype(precision, recipe, self.device)
        self._unproven = precision == "auto" and self._dtype == torch.bfloat16
        # torchvision keeps one decoder and rebuilds it when the device changes: one device only.
        self._jpegs_unproven = self.decodes_jpegs = self.device.type == "cuda" and len(devices) == 1
        self._proving = RLock()
        steady = recipe.fit != "aspect"
        self._lanes = Lanes([x for device in devices for x in open_lanes(device, steady=steady)])
        # They use the same network, so another lane takes no memory for weights.
        is_cpu = self.device.type == "cpu"
        self._single = Lanes(open_lanes(self.device, steady=steady)) if is_cpu else self._lanes
        self._load()
        self._sharing = Sharing(len(self._single.all), self.batch_size)

    @property
    def precision(self) -> str:
        """Return the precision that the network runs in: "float32" or "bfloat16"."""
        return str(self._dtype).removeprefix("torch.")

    @property
    def batch_size(self) -> int:
        """Return the recommended number of images per batch."""
        if self.device.type == "cpu":
            at_full_size, largest = CORE_BATCH * torch.get_num_threads(), LARGEST_CPU_BATCH
        else:
            at_full_size, largest = GPU_BATCH, LARGEST_GPU_BATCH
        by_size = at_full_size * FULL_SIZE**2 // self.recipe.size**2
        return max(1, min(by_size, max(at_full_size, largest)))

    @property
    def n_lanes(self) -> int:
        """Return the number of lanes, the batches that can be computed concurrently."""
        return len(self._lanes.all)

    def extract(self, pixels: Sequence[UInt8Array]) -> Float32Array:
        """Compute the raw descriptors (N, C) of N images (H, W, 3), whose sizes may differ.

        They have length one. Values are rounded to float16, as the database stores them, so that a
        projection gives the same embedding here and in SQL.

        Raises:
            DescriptorError: The network gives numbers that are not finite.
        """
        with self.lane() as lane:
            return self.extract_in(lane, pixels)

    def describe(self, pixels: UInt8Array) -> Float32Array:
        """Compute the raw descriptor of one image, (H, W, 3) -> (C,), as `extract` does.

        Threads that call this at the same time share batches. On a CPU they wait for no batch of
        `extract`.

        Raises:
            DescriptorError: The network gives numbers that are not finite.
        """
        return self._sharing.compute(pixels, self._extract_single)

    def lane(self) -> AbstractContextManager[Lane]:
        """Lend a lane for exclusive use; waits until one is free."""
        return self._lanes.lent()

    def extract_in(
        self, lane: Lane, pixels: Sequence[Pixels], on_done: OnDone = uncounted
    ) -> Float32Array:
        """Do what `extract` does, in a given lane; pixels may already be on its device."""
        raw = np.empty((len(pixels), self.dim), np.float32)
        for indices in _same_shape(pixels):
            with lane.working():
                batch = _stacked([pixels[i] for i in indices])
            self._prove(lane, batch[:1])
            raw[indices] = lane.extract(batch, on_done).half().float().numpy()
        for recipe, part in split(raw, self._recipes).items():
            if not np.isfinite(part).all():
                raise not_finite(recipe)
        return raw

    def decode_in(self, lane: Lane, jpegs: Sequence[Jpeg]) -> list[Tensor | None]:
        """Decode JPEGs on a lane's device, fitted (H, W, 3); None for those left to the CPU."""
        self._prove_jpegs(lane, jpegs)
        if not self.decodes_jpegs:
            return [None] * len(jpegs)
        with lane.working():
            return decode_on(lane.device, jpegs, self.recipe)

    def local_features(self, pixels: UInt8Array) -> Float32Array:
        """Compute an image's local features: (H, W, 3) -> (P, C), P positions of its map."""
        with self.lane() as lane, lane.working():
            batch = _stacked([pixels])
            self._prove(lane, batch)
            (features,) = positions(lane.network.feature_map(batch))
        return features

    def _extract_single(self, pixels: Sequence[UInt8Array]) -> Float32Array:
        with self._single.lent() as lane:
            return self.extract_in(lane, pixels)

    def _load(self) -> None:
        """Load the network into every lane, in the current precision."""
        lanes = {*self._lanes.all, *self._single.all}
        for device in {lane.device for lane in lanes}:
            network = self._network(device, self._dtype)
            for lane in lanes:
                if lane.device == device:
                    lane.use(network)

    def _network(self, device: torch.device, dtype: torch.dtype) -> Network:
        trunk = runtime_of(self.recipe).engine(self._trunk, dtype, device)
        return Network(self.recipe, trunk, self._codebook, self._others).to(device)

    def _prove(self, lane: Lane, image: Tensor) -> None:
        """Compare bfloat16 with float32 on the first image; use float32 if bfloat16 is too coarse.

        Runs once, under a lock, so that no other lane starts before the precision is decided.
        """
        with self._proving:
            if not self._unproven:
                return
            fast = lane.extract(image)
            with lane.working():
                exact = self._network(lane.device, torch.float32)(image.to(lane.device)).cpu()
            if not agree(fast, exact, [*map(channels, self._recipes)]):
                self._dtype = torch.float32
                self._load()
            self._unproven = False

    def _prove_jpegs(self, lane: Lane, jpegs: Sequence[Jpeg]) -> None:
        """Leave JPEGs to the CPU if the device decodes none, or unlike Pillow. Runs once."""
        with self._proving:
            if self._jpegs_unproven and jpegs:
                cosines = (self._agreement(lane, jpeg) for jpeg in jpegs)
                cosine = next((cosine for cosine in cosines if cosine is not None), 0.0)
                self.decodes_jpegs = cosine >= LEAST_AGREEMENT_OF_JPEGS
                self._jpegs_unproven = False

    def _agreement(self, lane: Lane, jpeg: Jpeg) -> float | None:
        """Return the cosine of a JPEG's descriptors, decoded on the device and with Pillow.

        None if either decoder fails.
        """
        recipe = self.recipe
        with lane.working():
            (theirs,) = decode_on(lane.device, [jpeg], recipe)
        if theirs is None:
            return None
        try:
            max_pixels = jpeg.width * jpeg.height
            ours = decode(jpeg.data, recipe.size, recipe.fit, max_pixels, self._canvas).pixels
        except ImageError:
            return None
        raw = self.extract_in(lane, [theirs, ours])
        return float(raw[0] @ raw[1] / np.linalg.norm(raw, axis=1).prod())


def load_extractor(
    recipe: Recipe,
    weights: Path,
    device: str = "auto",
    precision: Precision = "auto",
    codebook: Path | None = None,
    others: Mapping[Recipe, Path | None] = MappingProxyType({}),
) -> Extractor:
    """Load a recipe's network, and its codebook if it has one.

    `others` are recipes that differ only in pooling, and their codebooks: see `Extractor`.

    `device` is "auto", "cpu", "cuda" (all of them), "cuda:1" or "mps". `precision` "auto" is
    bfloat16 if the hardware supports it and its descriptor of the first image is close enough to
    float32's, else float32.

    Raises:
        ConfigError: The machine has no such device, the weights do not fit the network, or the
            recipe comes from a newer version of spocdb.
    """
    check_precision(precision)
    devices = find_devices(device)
    trunk = runtime_of(recipe).load(recipe, weights)
    first, *rest = [
        (each, load_codebook(file) if file else None)
        for each, file in {recipe: codebook, **others}.items()
    ]
    return Extractor(recipe, trunk, devices, precision, first[1], rest)


def _same_shape(pixels: Sequence[Pixels]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(pixels):
        groups[tuple(image.shape)].append(index)
    return list(groups.values())


def _stacked(pixels: Sequence[Pixels]) -> Tensor:
    """Stack images of one shape into a batch, on the device if one of them is there."""
    device = next((p.device for p in pixels if isinstance(p, Tensor)), None)
    if device is None:
        return torch.from_numpy(np.stack([np.asarray(p) for p in pixels]))
    there = (p if isinstance(p, Tensor) else torch.tensor(p, device=device) for p in pixels)
    return torch.stack(list(there))
