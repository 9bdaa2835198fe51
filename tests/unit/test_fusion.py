"""Fused networks give the same map as torchvision's own layers, in both precisions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spocdb.features.backbones import find
from spocdb.features.fusion import NONE, FusedConv, fuse_trunk
from spocdb.features.recipes import make_recipe
from spocdb.features.trunks import Trunk, build_trunk

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
# One network of each family; the others have more of the same layers.
FAMILIES = (
    "convnext_tiny",
    "efficientnet_lite0",
    "efficientnet_v2_s",
    "mini",
    "mobilenet_v1",
    "mobilenet_v3_large",
    "resnet50",
    "squeezenet1_1",
    "swin_t",
    "vgg16",
)


def random_trunk(backbone: str, *, relu: bool = True) -> Trunk:
    """Return a network with effective batch norm and non-zero biases, so that every part counts."""
    torch.manual_seed(0)
    with torch.device("meta"):
        meta = find(backbone).network().state_dict()
    # Without the classifier, whose numbers would take most of the time.
    state = {
        key: _random(key, tensor.shape)
        for key, tensor in meta.items()
        if not key.startswith(("classifier", "fc", "head"))
    }
    return build_trunk(make_recipe(backbone, "ab12", relu=relu), state)


def _random(name: str, shape: torch.Size) -> Tensor:
    if name.endswith("running_var"):
        return torch.empty(shape).uniform_(0.5, 2)
    if name.endswith("position_index"):
        return torch.zeros(shape, dtype=torch.int64)
    if len(shape) > 1:  # keeps the signal's size from layer to layer
        return nn.init.kaiming_normal_(torch.empty(shape), nonlinearity="linear")
    if name.endswith(("bias", "running_mean")):
        return torch.empty(shape).normal_(std=0.1)
    return torch.ones(shape)


def images(*shape: int) -> Tensor:
    return torch.randn(2, 3, *shape).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_fused_trunk_gives_the_same_map(backbone: str, relu: bool) -> None:
    trunk, x = random_trunk(backbone, relu=relu), images(64, 96)
    expected = trunk(x)
    exact = fuse_trunk(trunk, torch.float32, CPU)(x)
    torch.testing.assert_close(exact, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    with torch.autocast("cpu", torch.bfloat16):
        coarse = fuse_trunk(trunk, torch.bfloat16, CPU)(x)
    assert not torch.equal(coarse.float(), exact)
    assert functional.cosine_similarity(coarse.float().flatten(), expected.flatten(), 0) > 0.998


def test_the_trunk_itself_stays_as_it_is() -> None:
    trunk = random_trunk("mini")
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    fuse_trunk(trunk, torch.bfloat16, CPU)
    assert not any(isinstance(module, FusedConv) for module in trunk.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in trunk.state_dict().items())


@torch.inference_mode()
def test_images_of_other_sizes_may_come_in_between() -> None:
    trunk = random_trunk("mini")
    fused = fuse_trunk(trunk, torch.float32, CPU)
    for x in (images(64, 64), images(96, 32), images(64, 64)):
        torch.testing.assert_close(fused(x), trunk(x), rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_the_picture_itself_is_not_rounded() -> None:
    """1.001 is 1 in bfloat16; the map still shows the difference."""
    conv = nn.Conv2d(3, 1, 1)
    conv.weight.fill_(1000)
    assert conv.bias is not None
    conv.bias.fill_(-3000)
    x = torch.ones(1, 3, 1, 1)
    x[0, 0] += 0.001
    assert FusedConv(conv, NONE, torch.bfloat16, CPU)(x).item() == pytest.approx(1, abs=0.01)
