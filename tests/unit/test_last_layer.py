"""A student's new last layer, fitted to its teachers' descriptors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from spocdb.features.network import Network
from spocdb.features.packing import pack
from spocdb.features.recipes import make_recipe
from spocdb.training import start
from spocdb.training.last_layer import RIDGE, fit_last, ridge


def test_a_ridge_regression_is_least_squares_with_a_penalty() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(2, 3, (50, 4)), rng.normal(1, 1, (50, 3))
    weight, bias = ridge(torch.from_numpy(x), torch.from_numpy(y))
    centred = x - x.mean(axis=0)
    penalty = np.sqrt(RIDGE * (centred**2).sum() / 4) * np.eye(4)
    rows = np.vstack([centred, penalty]), np.vstack([y - y.mean(axis=0), np.zeros((4, 3))])
    expected, *_ = np.linalg.lstsq(*rows)
    np.testing.assert_allclose(weight.numpy(), expected.T, atol=1e-10)
    # The mean of x is mapped to that of y.
    np.testing.assert_allclose(weight.numpy() @ x.mean(axis=0) + bias.numpy(), y.mean(axis=0))


@pytest.mark.parametrize("sigma", [None, 0.5])
def test_a_fitted_layer_gives_descriptors_near_their_targets(sigma: float | None) -> None:
    recipe = make_recipe("mini", "", size=64, sigma=sigma)
    network = Network(recipe, start.build(recipe, None, 0))
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 64, 64, 3), dtype=torch.uint8, generator=generator)
    pixels[:, ::2] //= torch.arange(1, 25, dtype=torch.uint8).view(-1, 1, 1, 1)
    targets = normalize(torch.randn(24, 256, generator=generator))
    batches = [(pixels[part].numpy(), targets[part].numpy()) for part in (slice(16), slice(16, 24))]

    def likeness() -> float:
        with torch.inference_mode():
            return float((network(pixels) * targets).sum(dim=1).mean())

    before = likeness()
    fit_last(network, batches)
    # Each vector's share of the mean of random vectors is a fifth.
    assert before < 0.1 < 0.3 < likeness()
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_student_that_begins_with_another_network_has_a_new_last_layer(tmp_path: Path) -> None:
    recipe = make_recipe("mini2", "")
    whole = start.random_state(recipe, 0)
    lite = {name: t for name, t in whole.items() if not name.startswith("_embedding")}
    for name, state, is_new in (("lite", lite, True), ("whole", whole, False)):
        file = tmp_path / f"{name}.pth"
        torch.save(state, file)
        assert start.has_new_last(recipe, file) is is_new
        trunk = start.build(recipe, file, 0)
        assert torch.equal(
            trunk.layers.get_parameter("_conv_stem.weight"), whole["_conv_stem.weight"]
        )
    # Rounded to 8 bits it is the same network.
    torch.save(pack(whole), file)
    assert not start.has_new_last(recipe, file)
    assert start.has_new_last(recipe, None) is False
    assert not start.has_new_last(make_recipe("mini2", "", pooling="gem"), tmp_path / "lite.pth")
