from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError, DescriptorError
from spocdb.features import devices
from spocdb.features.extractor import Extractor, load_extractor
from spocdb.features.lanes import Lane
from spocdb.features.network import Network as RecipeNetwork
from spocdb.features.precision import Precision
from spocdb.features.recipes import make_recipe, split
from spocdb.machine import n_cores
from spocdb.records import UInt8Array

RECIPE = make_recipe("squeezenet1_1", "ab12", size=64, centering=False)
CPU = torch.device("cpu")


class Network(nn.Module):
    """A backbone of 512 channels: the RGB values, zeros, and the changes that `spoil` makes."""

    def __init__(self, spoil: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.spoil, self.batches = spoil, list[int]()

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return self.spoil(nn.functional.pad(images, (0, 0, 0, 0, 0, 509)))


def make(network: nn.Module, precision: Precision = "float32") -> Extractor:
    return Extractor(RECIPE, network, [CPU], precision)


def noise(*shape: int, seed: int = 0) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def test_pixels_are_normalised_the_imagenet_way() -> None:
    (raw,) = make(Network()).extract([np.full((2, 2, 3), 255, np.uint8)])
    expected = (255 - np.array(RECIPE.mean)) / np.array(RECIPE.std)
    np.testing.assert_allclose(raw[:3], expected / np.linalg.norm(expected), atol=5e-4)
    assert not raw[3:].any()


def test_raw_descriptors_are_half_precision_and_of_length_one() -> None:
    raw = make(Network()).extract([noise(8, 8, seed=i) for i in range(4)])
    assert raw.shape == (4, 512)
    assert raw.dtype == np.float32
    np.testing.assert_array_equal(raw, raw.astype(np.float16))
    np.testing.assert_allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-3)


def test_images_of_different_shapes_keep_their_order() -> None:
    images = [noise(8, 9, seed=0), noise(9, 8, seed=1), noise(8, 9, seed=2)]
    network = Network()
    together = make(network).extract(images)
    assert network.batches == [1, 1, 1]
    alone = [make(Network()).extract([image])[0] for image in images]
    np.testing.assert_array_equal(together, alone)


def test_threads_that_share_batches_get_each_their_own_descriptor() -> None:
    def spoil(feature_map: Tensor) -> Tensor:
        """Give no numbers for a white image."""
        white = feature_map[:, :1].amin(dim=(2, 3), keepdim=True) > 2
        return torch.where(white, torch.nan, feature_map)

    extractor = make(Network(spoil))
    images = [noise(8, 6 + i % 3, seed=i) for i in range(40)]
    alone = extractor.extract(images)
    images[7] = np.full((8, 8, 3), 255, np.uint8)
    with ThreadPoolExecutor(16) as threads:
        calls = [threads.submit(extractor.describe, image) for image in images]
    with pytest.raises(DescriptorError, match="not finite"):
        calls[7].result()
    for i, call in enumerate(calls):
        if i != 7:
            np.testing.assert_allclose(call.result(), alone[i], atol=1e-3)


def test_a_single_image_does_not_wait_for_a_batch_of_a_cpu() -> None:
    extractor = make(Network())
    image = noise(8, 8)
    with ThreadPoolExecutor() as pool:
        with extractor.lane():
            described = pool.submit(extractor.describe, image)
            row = described.result(60)
        np.testing.assert_array_equal(row, extractor.extract([image])[0])


def test_no_images_give_no_rows() -> None:
    assert make(Network()).extract([]).shape == (0, 512)


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    def refuse_more_than_two(feature_map: Tensor) -> Tensor:
        if len(feature_map) > 2:
            raise torch.OutOfMemoryError
        return feature_map

    network, batch = Network(refuse_more_than_two), torch.from_numpy(noise(5, 4, 4))
    lane = Lane(CPU)
    lane.use(RecipeNetwork(RECIPE, network))
    alone = make(Network()).extract(list(batch.numpy()))
    np.testing.assert_allclose(lane.extract(batch), alone, atol=1e-3)
    assert network.batches == [5, 2, 2, 1]
    # A batch size that did not fit is not tried again.
    lane.extract(batch)
    assert network.batches[4:] == [2, 2, 1]


def test_no_memory_for_one_image_says_what_to_do() -> None:
    def refuse(feature_map: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(ConfigError, match="`device='cpu'`"):
        make(Network(refuse)).extract([noise(4, 4)])


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DescriptorError, match="not finite"):
        make(Network(lambda x: x * torch.nan)).extract([noise(4, 4)])


def test_recipes_that_differ_in_pooling_share_a_trunk() -> None:
    network, images = Network(), [noise(8, 8, seed=i) for i in range(3)]
    others = [replace(RECIPE, pooling="max"), replace(RECIPE, attention="crow")]
    shared = Extractor(RECIPE, network, [CPU], "float32", None, [(other, None) for other in others])
    assert shared.dim == 3 * 512
    parts = split(shared.extract(images), [RECIPE, *others])
    assert sum(network.batches) == len(images)
    for recipe, part in parts.items():
        alone = Extractor(recipe, Network(), [CPU], "float32")
        np.testing.assert_array_equal(part, alone.extract(images))


@pytest.fixture
def fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_cpu_has_bfloat16", lambda: True)


class Cancelling(nn.Module):
    """Two convolutions whose result is a small difference of large values, which bfloat16 loses."""

    def __init__(self, lost: float = 1.0) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1, bias=False), nn.Conv2d(4, 512, 1, bias=False)
        with torch.no_grad():
            self.first.weight.zero_()[:, 0] = 1
            self.first.weight[1, 1] = self.first.weight[2, 2] = 1e-3
            self.second.weight.zero_()
            # Differences to red, of a thousandth of its value.
            for row in (1, 2):
                self.second.weight[row, 0], self.second.weight[row, row] = -1, lost
        self.batches = list[int]()

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        result: Tensor = self.second(self.first(images))
        return result


@pytest.mark.usefixtures("fast_bfloat16")
def test_bfloat16_is_kept_where_it_agrees_and_asked_only_once() -> None:
    network = Network()
    extractor = make(network, "auto")
    assert extractor.precision == "bfloat16"
    for _ in range(2):
        extractor.extract([noise(4, 4), noise(4, 4)])
    assert extractor.precision == "bfloat16"
    assert network.batches == [1, 1, 1, 1, 1, 1]


@pytest.mark.usefixtures("fast_bfloat16")
@pytest.mark.parametrize("lost", [1.0, float("nan")])
def test_bfloat16_is_dropped_where_it_does_not_agree(lost: float) -> None:
    extractor = make(Cancelling(lost), "auto")
    exact = make(Cancelling(lost), "float32")
    image = noise(4, 4)
    try:
        np.testing.assert_array_equal(extractor.extract([image]), exact.extract([image]))
    except DescriptorError:
        assert lost != 1.0
    assert extractor.precision == "float32"


@pytest.mark.usefixtures("fast_bfloat16")
def test_bfloat16_that_was_asked_for_is_not_checked() -> None:
    network = Cancelling()
    extractor = make(network, "bfloat16")
    (fast,), (exact,) = (e.extract([noise(4, 4)]) for e in (extractor, make(Cancelling())))
    assert fast @ exact < 0.99
    assert (extractor.precision, network.batches) == ("bfloat16", [1])


def test_without_fast_bfloat16_auto_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert make(Network(), "auto").precision == "float32"


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "meta", ""])
def test_a_device_that_is_not_here_is_a_config_error(device: str, squeezenet_weights: Path) -> None:
    with pytest.raises(ConfigError, match=f"no device '{device}'"):
        load_extractor(RECIPE, squeezenet_weights, device)


def test_an_unknown_precision_is_a_config_error(squeezenet_weights: Path) -> None:
    with pytest.raises(ConfigError, match="unknown precision 'int8'"):
        load_extractor(RECIPE, squeezenet_weights, "cpu", "int8")  # type: ignore[arg-type]


def test_a_real_network_gives_the_same_alone_and_in_a_batch(squeezenet_weights: Path) -> None:
    extractor = load_extractor(RECIPE, squeezenet_weights, "cpu", "float32")
    assert (extractor.recipe, extractor.dim) == (RECIPE, 512)
    assert (extractor.device, extractor.precision) == (CPU, "float32")
    images = [noise(64, 64, seed=i) for i in range(3)]
    together = extractor.extract(images)
    alone = np.concatenate([extractor.extract([image]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-2


def viewed(spoil: Callable[[Tensor], Tensor] = lambda x: x, **options: Any) -> Extractor:
    recipe = make_recipe("squeezenet1_1", "ab12", size=64, centering=False, **options)
    return Extractor(recipe, Network(spoil), [CPU], "float32")


def left_half(feature_map: Tensor) -> Tensor:
    """Let the network see the left half only."""
    return feature_map[:, :, :, : feature_map.shape[3] // 2]


def test_a_mirror_image_has_the_same_descriptor_where_both_are_summed() -> None:
    image = noise(8, 8)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    both, one = viewed(left_half, flip=True), viewed(left_half)
    np.testing.assert_allclose(both.extract([image]), both.extract([mirrored]), atol=1e-3)
    summed = one.extract([image]) + one.extract([mirrored])
    summed /= np.linalg.norm(summed, axis=1, keepdims=True)
    np.testing.assert_allclose(both.extract([image]), summed, atol=2e-3)
    assert np.abs(one.extract([image]) - one.extract([mirrored])).max() > 1e-2


def test_the_network_sees_an_image_at_every_scale() -> None:
    sizes: list[tuple[int, ...]] = []

    def note(feature_map: Tensor) -> Tensor:
        sizes.append(tuple(feature_map.shape[2:]))
        return feature_map

    extractor = viewed(note, scales=(0.5, 1.0), flip=True)
    assert extractor.recipe.scales == (1.0, 0.5)
    assert extractor.recipe.n_views == 4
    extractor.extract([noise(96, 72), noise(96, 48)])
    assert sizes[:4] == [(96, 72), (96, 72), (48, 36), (48, 36)]
    # A side is never smaller than the network's minimum.
    assert sizes[6:] == [(48, 32), (48, 32)]


def test_scales_are_summed_after_each_was_normalised() -> None:
    """For an even grey all scales give the same descriptor, so their sum has its direction."""
    grey = np.full((64, 64, 3), 200, np.uint8)
    many, one = viewed(scales=(1.0, 0.7, 0.5)), viewed()
    np.testing.assert_allclose(many.extract([grey]), one.extract([grey]), atol=1e-3)


def test_local_features_are_the_positions_of_the_map() -> None:
    image = noise(2, 3)
    features = viewed().local_features(image)
    assert features.shape == (6, 512)
    expected = (image.reshape(6, 3) - np.array(RECIPE.mean)) / np.array(RECIPE.std)
    np.testing.assert_allclose(features[:, :3], expected, rtol=1e-4, atol=1e-5)


def test_torch_computes_with_no_more_threads_than_there_are_cores() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_cores() + 3)
        devices.find_devices("cpu")
        assert torch.get_num_threads() == n_cores()
    finally:
        torch.set_num_threads(before)
