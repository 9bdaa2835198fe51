"""RGB pixels -> raw descriptors, by the network of a recipe."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import RLock
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spocdb.errors import DescriptorError, ImageError, UnknownChoice
from spocdb.features.backbones import find
from spocdb.features.codebook_files import load as load_codebook
from spocdb.features.codebooks import Codebook
from spocdb.features.devices import fastest_dtype, find_devices
from spocdb.features.jpegs import decode_on
from spocdb.features.lanes import Lane, OnDone, open_lanes, uncounted
from spocdb.features.network import Network, positions
from spocdb.features.recipes import channels
from spocdb.images.decode import decode
from spocdb.records import Float32Array, Jpeg, Recipe, UInt8Array

Precision = Literal["auto", "float32", "bfloat16"]
# (H, W, 3), on the CPU or already on the device.
Pixels = UInt8Array | Tensor

# Cosine to float32's descriptor; on 421 photographs bfloat16 reaches 0.9997 or more.
LEAST_AGREEMENT = 0.9995
# Cosine of what a device decodes to what Pillow does: it halves and restores colour otherwise.
LEAST_AGREEMENT_OF_JPEGS = 0.999

# Images of a batch at VGG-19's size: of a GPU, and for each core of a CPU, where a batch is what a
# transaction writes and a kill costs. Small images make larger ones, while anything is gained.
GPU_BATCH, CORE_BATCH, FULL_SIZE = 64, 8, 586
LARGEST_GPU_BATCH, LARGEST_CPU_BATCH = 256, 64

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Extractor:
    """A recipe's network on one or more devices of a kind. Threads share it.

    Each of its lanes takes a batch at a time: a CPU has one, which computes an image on each core;
    a GPU has two.
    """

    def __init__(
        self,
        recipe: Recipe,
        trunk: nn.Module,
        devices: Sequence[torch.device],
        precision: Precision = "auto",
        codebook: Codebook | None = None,
    ) -> None:
        self.recipe, self._canvas = recipe, recipe.canvas
        self.dim = channels(recipe)
        self.device = devices[0]
        self._trunk, self._codebook = trunk, codebook
        self._dtype = DTYPES.get(precision) or fastest_dtype(self.device)
        self._unproven = precision == "auto" and self._dtype == torch.bfloat16
        # torchvision has one decoder for all devices: it makes it anew whenever another is meant.
        self._jpegs_unproven = self.decodes_jpegs = self.device.type == "cuda" and len(devices) == 1
        self._proving = RLock()
        steady = recipe.fit != "aspect"
        self._lanes = [lane for device in devices for lane in open_lanes(device, steady=steady)]
        self._load()
        self._free: SimpleQueue[Lane] = SimpleQueue()
        for lane in self._lanes:
            self._free.put(lane)

    @property
    def precision(self) -> str:
        """Return the precision that the network runs in: "float32" or "bfloat16"."""
        return str(self._dtype).removeprefix("torch.")

    @property
    def batch_size(self) -> int:
        """Return how many images make a good batch."""
        if self.device.type == "cpu":
            at_full_size, largest = CORE_BATCH * torch.get_num_threads(), LARGEST_CPU_BATCH
        else:
            at_full_size, largest = GPU_BATCH, LARGEST_GPU_BATCH
        by_size = at_full_size * FULL_SIZE**2 // self.recipe.size**2
        return max(1, min(by_size, max(at_full_size, largest)))

    @property
    def n_lanes(self) -> int:
        """Return how many batches can be on their way through the network at a time."""
        return len(self._lanes)

    def extract(self, pixels: Sequence[UInt8Array]) -> Float32Array:
        """Compute the raw descriptors (N, C) of N images (H, W, 3), whose sizes may differ.

        They have length one and half precision: each value is one of float16, which is what the
        database keeps, so that a projection gives the same embedding here and in SQL.

        Raises DescriptorError if the network gives numbers that are not finite.
        """
        with self.lane() as lane:
            return self.extract_in(lane, pixels)

    @contextmanager
    def lane(self) -> Iterator[Lane]:
        """Have a lane for oneself; waits for one."""
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)

    def extract_in(
        self, lane: Lane, pixels: Sequence[Pixels], on_done: OnDone = uncounted
    ) -> Float32Array:
        """Do what `extract` does in a lane, where pixels may lie on its device."""
        raw = np.empty((len(pixels), self.dim), np.float32)
        for indices in _same_shape(pixels):
            with lane.working():
                batch = _stacked([pixels[i] for i in indices])
            self._prove(lane, batch[:1])
            raw[indices] = lane.extract(batch, on_done).half().float().numpy()
        if not np.isfinite(raw).all():
            raise DescriptorError(
                f"{self.recipe.name} gives numbers that are not finite: "
                "check the weights file, or use `precision='float32'`"
            )
        return raw

    def decode_in(self, lane: Lane, jpegs: Sequence[Jpeg]) -> list[Tensor | None]:
        """Decode JPEGs on a lane's device, fitted (H, W, 3); None for what the CPU has to do."""
        self._prove_jpegs(lane, jpegs)
        if not self.decodes_jpegs:
            return [None] * len(jpegs)
        with lane.working():
            return decode_on(lane.device, jpegs, self.recipe)

    def local_features(self, pixels: UInt8Array) -> Float32Array:
        """Compute the local features (P, C) of an image (H, W, 3): its feature map's positions."""
        with self.lane() as lane, lane.working():
            batch = _stacked([pixels])
            self._prove(lane, batch)
            (features,) = positions(lane.network.feature_map(batch))
        return features

    def _load(self) -> None:
        """Bring the network to every lane, in the precision that is asked for by now."""
        for device in {lane.device for lane in self._lanes}:
            network = self._network(device, self._dtype)
            for lane in self._lanes:
                if lane.device == device:
                    lane.use(network)

    def _network(self, device: torch.device, dtype: torch.dtype) -> Network:
        trunk = find(self.recipe.backbone).engine(self._trunk, dtype, device)
        return Network(self.recipe, trunk, self._codebook).to(device)

    def _prove(self, lane: Lane, image: Tensor) -> None:
        """Go on in float32 if bfloat16 is too coarse for this network; asked of one image."""
        with self._proving:
            if not self._unproven:
                return
            fast = lane.extract(image)
            with lane.working():
                exact = self._network(lane.device, torch.float32)(image.to(lane.device)).cpu()
            if not _agree(fast, exact, LEAST_AGREEMENT):
                self._dtype = torch.float32
                self._load()
            self._unproven = False

    def _prove_jpegs(self, lane: Lane, jpegs: Sequence[Jpeg]) -> None:
        """Leave JPEGs to the CPU if the device cannot decode any, or otherwise than Pillow does."""
        with self._proving:
            if self._jpegs_unproven and jpegs:
                cosines = (self._agreement(lane, jpeg) for jpeg in jpegs)
                cosine = next((cosine for cosine in cosines if cosine is not None), 0.0)
                self.decodes_jpegs = cosine >= LEAST_AGREEMENT_OF_JPEGS
                self._jpegs_unproven = False

    def _agreement(self, lane: Lane, jpeg: Jpeg) -> float | None:
        """Return the cosine of what the device decodes to what Pillow does, None if one cannot."""
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
) -> Extractor:
    """Load a recipe's network, and its codebook where it has one.

    `device` is "auto", "cpu", "cuda" (all of them), "cuda:1" or "mps". `precision` "auto" is
    bfloat16 where the hardware is fast in it and the first image shows that it is exact enough,
    float32 elsewhere.

    Raises:
        ConfigError: The device is not here, the weights do not fit, or the recipe is of a newer
            version of spocdb.
    """
    check_precision(precision)
    devices = find_devices(device)
    trunk = find(recipe.backbone).load(recipe, weights)
    return Extractor(
        recipe, trunk, devices, precision, load_codebook(codebook) if codebook else None
    )


def check_precision(name: str) -> None:
    """Raise ConfigError for an unknown precision."""
    if name != "auto" and name not in DTYPES:
        raise UnknownChoice("precision", name, ["auto", *DTYPES])


def _agree(fast: Tensor, exact: Tensor, least: float) -> bool:
    # A cosine that is not a number does not agree either.
    return functional.cosine_similarity(fast, exact).item() >= least


def _same_shape(pixels: Sequence[Pixels]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(pixels):
        groups[tuple(image.shape)].append(index)
    return list(groups.values())


def _stacked(pixels: Sequence[Pixels]) -> Tensor:
    """Return images of one shape as a batch, on the device if one of them lies there."""
    device = next((p.device for p in pixels if isinstance(p, Tensor)), None)
    if device is None:
        return torch.from_numpy(np.stack([np.asarray(p) for p in pixels]))
    there = (p if isinstance(p, Tensor) else torch.tensor(p, device=device) for p in pixels)
    return torch.stack(list(there))
