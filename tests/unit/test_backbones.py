from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model

from spocdb.errors import ConfigError
from spocdb.features.backbones import find, names
from spocdb.features.recipes import channels, make_recipe
from spocdb.features.trunks import build_trunk


def random_state(backbone: str) -> dict[str, Tensor]:
    """Return seeded weights of a trunk, small enough to keep the activations finite."""
    with torch.device("meta"):
        meta = find(backbone).network().state_dict()
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.zeros(tensor.shape, dtype=tensor.dtype)  # an index of positions
        if not tensor.is_floating_point()
        else torch.randn(tensor.shape, generator=generator) * 0.05 + ("running_var" in key)
        for key, tensor in meta.items()
        if not key.startswith(("classifier", "fc", "head")) and not key.endswith("batches_tracked")
    }


def images(size: int, n: int = 1) -> Tensor:
    return torch.randn((n, 3, size, size), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def vgg19() -> dict[str, Tensor]:
    return random_state("vgg19")


@pytest.mark.slow
@torch.inference_mode()
def test_the_default_map_is_the_papers(vgg19: dict[str, Tensor]) -> None:
    trunk = build_trunk(make_recipe("vgg19", "ab12"), vgg19)
    feature_map = trunk.to(memory_format=torch.channels_last)(images(586))
    assert feature_map.shape == (1, 512, 37, 37)
    assert feature_map.min() == 0.0


@pytest.mark.parametrize(("ceil_mode", "side"), [(True, 37), (False, 36)])
def test_vgg_rounds_the_pooling_as_the_recipe_says(
    ceil_mode: bool, side: int, vgg19: dict[str, Tensor]
) -> None:
    recipe = replace(make_recipe("vgg19", "ab12"), ceil_mode=ceil_mode)
    # Shapes alone: on the meta device nothing is computed.
    assert build_trunk(recipe, vgg19).to("meta")(images(586).to("meta")).shape[2:] == (side, side)


@torch.inference_mode()
@pytest.mark.parametrize("backbone", ["vgg19", "squeezenet1_1", "resnet50"])
def test_the_map_before_the_relu_is_cut_before_it(backbone: str) -> None:
    state, x = random_state(backbone), images(64)
    after, before = (
        build_trunk(make_recipe(backbone, "ab12", relu=relu), state)(x) for relu in (True, False)
    )
    assert before.min() < 0
    assert torch.equal(after, before.relu())
    assert after.shape[1] == channels(make_recipe(backbone, ""))


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(
    ("backbone", "behind", "side"),
    [
        ("resnet50", ("avgpool", "fc"), 2),
        ("squeezenet1_1", ("classifier",), 3),
        ("convnext_tiny", ("avgpool", "classifier"), 2),
        ("efficientnet_v2_s", ("avgpool", "classifier"), 2),
        ("mobilenet_v3_large", ("avgpool", "classifier"), 2),
        ("swin_t", ("avgpool", "flatten", "head"), 2),
    ],
)
def test_the_trunk_is_torchvisions(backbone: str, behind: tuple[str, ...], side: int) -> None:
    state, x = random_state(backbone), images(64, n=2)
    model = get_model(backbone, weights=None)
    model.load_state_dict(state, strict=False)
    parts = {name: part for name, part in model.eval().named_children() if name not in behind}
    feature_map = build_trunk(make_recipe(backbone, "ab12"), state)(x)
    assert feature_map.shape == (2, channels(make_recipe(backbone, "")), side, side)
    assert torch.equal(feature_map, nn.Sequential(*parts.values())(x))


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(
    ("backbone", "activation"),
    [
        ("efficientnet_lite0", functional.relu6),
        ("efficientnet_v2_s", functional.silu),
        ("mobilenet_v3_large", functional.hardswish),
        ("convnext_tiny", functional.relu),
        ("swin_t", functional.relu),
    ],
)
def test_the_map_before_another_activation_is_cut_before_it(
    backbone: str, activation: Callable[[Tensor], Tensor]
) -> None:
    state, x = random_state(backbone), images(64)
    after, before = (
        build_trunk(make_recipe(backbone, "ab12", relu=relu), state)(x) for relu in (True, False)
    )
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, activation(before))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", names())
def test_every_preset_builds_from_its_trunk_alone(backbone: str) -> None:
    trunk = build_trunk(make_recipe(backbone, "ab12"), random_state(backbone))
    assert not trunk.training
    assert not any(p.is_meta or p.requires_grad for p in trunk.parameters())
    assert not any(name.startswith("classifier") for name, _ in trunk.named_parameters())
    x = torch.empty((1, 3, 64, 64), device="meta")
    assert trunk.to("meta")(x).shape[1] == channels(make_recipe(backbone, ""))


def test_tensors_behind_the_cut_are_ignored_and_not_shared() -> None:
    state = random_state("squeezenet1_1")
    state["classifier.1.weight"] = torch.zeros(1)
    trunk = build_trunk(make_recipe("squeezenet1_1", "ab12"), state)
    state["features.0.bias"].zero_()
    assert trunk.layers.get_parameter("features.0.bias").abs().sum() > 0


def test_half_precision_weights_become_float32() -> None:
    state = {key: tensor.half() for key, tensor in random_state("squeezenet1_1").items()}
    trunk = build_trunk(make_recipe("squeezenet1_1", "ab12"), state)
    assert {parameter.dtype for parameter in trunk.parameters()} == {torch.float32}


def test_weights_that_do_not_fit_are_named_and_counted(vgg19: dict[str, Tensor]) -> None:
    recipe = make_recipe("vgg19", "ab12")
    message = r"no weights of vgg19: features\.0\.weight is missing .* \(32 of 32 tensors"
    with pytest.raises(ConfigError, match=message):
        build_trunk(recipe, {})
    wrong = vgg19 | {"features.34.bias": torch.zeros(7)}
    with pytest.raises(ConfigError, match=r"features\.34\.bias is .*another shape \(1 of 32"):
        build_trunk(recipe, wrong)


def test_an_unknown_layer_is_a_config_error() -> None:
    recipe = replace(make_recipe("vgg19", "ab12"), layer="conv9_9")
    with pytest.raises(ConfigError, match="unknown layer conv9_9 of vgg19"):
        build_trunk(recipe, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    state = random_state("mini")
    key = next(key for key in state if key.endswith(".weight"))
    state[key] = state[key].double()
    state[key].view(-1)[7] = value
    with pytest.raises(ConfigError, match=rf"{key} has numbers that are not finite"):
        build_trunk(make_recipe("mini", "ab12"), state)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_of_another_type_are_refused(dtype: torch.dtype) -> None:
    state = random_state("mini")
    key = next(iter(state))
    state[key] = state[key].to(dtype)
    with pytest.raises(ConfigError, match=rf"{key} is {str(dtype).removeprefix('torch.')}"):
        build_trunk(make_recipe("mini", "ab12"), state)
    state[key] = torch.zeros(state[key].shape).to_sparse()
    with pytest.raises(ConfigError, match=f"{key} is "):
        build_trunk(make_recipe("mini", "ab12"), state)


def test_a_layer_of_zeros_is_refused_and_vectors_of_zeros_are_not() -> None:
    state = random_state("mini")
    vectors = {key: torch.zeros_like(t) for key, t in state.items() if key.endswith("bias")}
    assert vectors
    build_trunk(make_recipe("mini", "ab12"), state | vectors)
    key = next(key for key, tensor in state.items() if tensor.ndim == 4)
    with pytest.raises(ConfigError, match=f"weights of mini cannot be used: {key} is all zero"):
        build_trunk(make_recipe("mini", "ab12"), state | {key: torch.zeros_like(state[key])})
