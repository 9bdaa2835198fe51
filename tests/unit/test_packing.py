"""Weights in eight bits in a file."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from spocdb.errors import ConfigError
from spocdb.features.packing import pack, unpack
from spocdb.features.weights import load_state_dict

STATE = {
    "conv.weight": torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)),
    "conv.bias": torch.arange(4.0),
    "norm.running_var": torch.tensor([1e-9, 1, 2, 3]),
}


def test_weights_come_back_within_half_a_step(tmp_path: Path) -> None:
    file = tmp_path / "packed.safetensors"
    safetensors.torch.save_file(pack(STATE), file)
    back = load_state_dict(file)
    assert set(back) == set(STATE)
    for name in ("conv.bias", "norm.running_var"):
        assert torch.equal(back[name], STATE[name])
    wanted, got = STATE["conv.weight"], back["conv.weight"]
    step = wanted.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    assert got.dtype == torch.float32
    assert ((got - wanted).abs() <= step * 0.501).all()
    assert not torch.equal(got, wanted)


def test_channels_of_zeros_stay_so() -> None:
    state = {"conv.weight": torch.zeros(2, 1, 1, 1)}
    assert torch.equal(unpack(pack(state))["conv.weight"], state["conv.weight"])


def test_a_state_dict_that_is_not_packed_is_left_alone() -> None:
    # Integers of another network, and a parameter that happens to be called scale.
    state = {"table": torch.ones(3, dtype=torch.int8), "layer.scale": torch.ones(3)}
    assert unpack(state) == state


@pytest.mark.parametrize("scale", [torch.ones(3), torch.ones(()), torch.ones(4, dtype=torch.int8)])
def test_a_scale_that_does_not_fit_is_refused(scale: torch.Tensor) -> None:
    state = {**pack(STATE), "conv.weight.scale": scale}
    with pytest.raises(ConfigError, match=r"conv\.weight\.scale does not fit conv\.weight"):
        unpack(state)
