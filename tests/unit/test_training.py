"""The loop of a training: networks, losses, schedules, checkpoints, curves."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import squeezenet1_1

from spocdb.errors import ConfigError
from spocdb.features.backbones import find, names
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.extractor import load_extractor
from spocdb.features.network import Network
from spocdb.features.recipes import make_recipe
from spocdb.features.trunks import build_trunk
from spocdb.training import checkpoints, loop, outcome, start
from spocdb.training.checkpoints import Epoch
from spocdb.training.metric_learning import Grouping
from spocdb.training.objectives import check_loss, make_objective
from spocdb.training.plots import draw
from spocdb.training.schedule import Schedule, best, rate
from spocdb.training.teaching import Teacher, Teachers
from spocdb.training.validation import mean_average_precision


def test_a_teacher_sees_transparent_images_as_its_student_does(tmp_path: Path) -> None:
    recipe = make_recipe("mini", "ab12", size=64)
    extractor = load_extractor(recipe, MINI, "cpu")
    teachers = Teachers([Teacher(extractor, tmp_path / "targets.npy", 300, 1)])
    teachers.check(300, 256, "white")
    with pytest.raises(ConfigError, match="on white, the student on black: take another teacher"):
        teachers.check(300, 256, "black")


def test_mean_average_precision_by_hand() -> None:
    # Along a line: a b a b. For each query: its nearest is wrong, its second right.
    angles = np.radians([0, 10, 19, 28])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # Right at rank 1 (from 0): by trapezoids (0/1 + 1/2) / 2 = 0.25; at rank 2: (0 + 1/3) / 2.
    by_hand = [0.25, 1 / 6, 1 / 6, 0.25]
    # Query 1 (10 degrees): the others are 9, 10 and 18 away: a, a, b. Query 2: 9, 9, 19: b, b, a.
    assert mean_average_precision(rows, ["a", "b", "a", "b"]) == pytest.approx(np.mean(by_hand))
    assert mean_average_precision(rows, ["a", "b", "c", "d"]) == 0.0
    assert mean_average_precision(rows[[0, 0, 3, 3]], ["a", "a", "b", "b"]) == 1.0


@torch.inference_mode()
def test_mini_from_squeezenet_is_squeezenet_up_to_its_last_module() -> None:
    torch.manual_seed(0)
    squeezenet = squeezenet1_1(weights=None).eval()
    state = start.mini_from_squeezenet(squeezenet.state_dict(), seed=0)
    recipe = make_recipe("mini", "ab12")
    features = build_trunk(recipe, state).layers.get_submodule("features")
    for module in squeezenet.modules():
        if isinstance(module, torch.nn.MaxPool2d):
            module.ceil_mode = True
    x = torch.randn(2, 3, 96, 96)
    expected = squeezenet.features[:12](x)
    assert isinstance(features, torch.nn.Sequential)
    # The ReLU after the 3 x 3 convolution of the seventh pair.
    got = features[:33](x)
    assert torch.allclose(got, expected, atol=1e-5)


def test_training_begins_with_random_weights_only_if_told() -> None:
    recipe = make_recipe("mini", "")
    one, same, other = (
        start.build(recipe, None, seed).layers.get_parameter("features.0.weight")
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.requires_grad
    assert start.find("mini", "random", Path("nowhere")) is None


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mini", "mobilenet_v1", "vgg19"])
def test_random_weights_keep_the_signal(backbone: str) -> None:
    recipe = make_recipe(backbone, "", size=64)
    network = Network(recipe, start.build(recipe, None, 0))
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    spread = network.feature_map(pixels, torch.float32).std().item()
    assert 0.01 < spread < 100


def test_what_no_gradient_goes_through_is_refused() -> None:
    with pytest.raises(ConfigError, match="fisher pooling cannot be trained"):
        start.check_trainable(make_recipe("vgg19", "", pooling="fisher", codebook=("ab", 16)))
    with pytest.raises(ConfigError, match="crow attention cannot be trained"):
        start.check_trainable(make_recipe("vgg19", "", attention="crow"))
    with pytest.raises(ConfigError, match="`fit='warp'` or pad"):
        start.check_trainable(make_recipe("mini", "", fit="aspect"))


def test_the_network_learns_through_its_pooling() -> None:
    recipe = make_recipe("mini", "", size=32, pooling="gem", relu=True)
    network = Network(recipe, start.build(recipe, None, 0))
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    descriptors: Tensor = network(pixels)
    descriptors[0, 0].backward()  # type: ignore[no-untyped-call]
    gradient = network.trunk.get_parameter("layers.features.0.weight").grad
    assert gradient is not None and gradient.abs().sum() > 0
    assert set(network.state_dict()) == {
        f"trunk.layers.{name}" for name in find("mini").network().state_dict()
    }


@pytest.mark.parametrize("name", ["contrastive", "triplet", "multi-similarity"])
def test_losses_fall_when_classes_part(name: str) -> None:
    objective = make_objective(name, 2, 2, seed=0)
    labels = torch.tensor([0, 0, 1, 1])
    mixed = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [0.9, 1], [1, 0], [0.8, 1]]))
    parted = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]]))
    assert objective(mixed, labels) > objective(parted, labels)


@pytest.mark.parametrize("name", ["arcface", "soft-triple"])
def test_losses_with_proxies_fall_when_classes_are_at_theirs(name: str) -> None:
    objective = make_objective(name, 2, 2, seed=0)
    proxies = next(objective.loss.parameters()).T  # SoftTriple has ten of each class
    near = torch.nn.functional.normalize(proxies[[0, len(proxies) // 2]])
    right, wrong = torch.tensor([0, 1]), torch.tensor([1, 0])
    assert objective(near, right) < objective(near, wrong)
    same, other = (next(make_objective(name, 2, 2, s).loss.parameters()) for s in (0, 1))
    assert torch.equal(same.T, proxies) and not torch.equal(same, other)


def test_an_unknown_loss_is_told() -> None:
    with pytest.raises(ConfigError, match="unknown loss 'arc': one of contrastive, triplet"):
        check_loss("arc")


@pytest.mark.parametrize(
    ("schedule", "option"),
    [
        (Schedule(0, 32, 1e-3), "^epochs must be "),
        (Schedule(1, 0, 1e-3), "^batch_size must be "),
        (Schedule(1, 32, -1.0), "^learning_rate must be "),
        (Schedule(1, 32, float("nan")), "^learning_rate must be "),
        (Schedule(1, 32, float("inf")), "^learning_rate must be "),
        (Schedule(1, 32, 1e-3, patience=0), "^patience must be 1 or more"),
        (Schedule(1, 32, 1e-3, seed=-1), "^seed must be "),
        (Schedule(1, 32, 1e-3, seed=2**63), "^seed must be "),
        (Schedule(1, 32, 1e-3, precision="float16"), "unknown precision"),  # type: ignore[arg-type]
        (Schedule(1, 32, 1e-3, device="abacus"), "no device"),
    ],
)
def test_a_schedule_that_cannot_be(schedule: Schedule, option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        schedule.check()


@pytest.mark.parametrize(("grouping", "least"), [(Grouping(4, 4), 8), (Grouping(4, 0), 8)])
def test_a_batch_holds_more_than_one_class(grouping: Grouping, least: int) -> None:
    grouping.check(least)
    with pytest.raises(ConfigError, match=f"^batch_size must be at least {least}"):
        grouping.check(least - 1)


def test_a_loss_that_is_no_number_stops_before_the_weights_are_spoiled(tmp_path: Path) -> None:
    class Broken:
        n_batches = 1
        head = torch.nn.Module()

        def begin(self, network: Network, epoch: int) -> None: ...

        def batches(self, epoch: int) -> Iterator[int]:
            yield 0

        def loss(self, network: Network, batch: int, dtype: torch.dtype) -> Tensor:
            # The loss is finite, its gradient is not.
            weight = network.trunk.get_parameter("layers.features.0.weight")
            return (weight * 0).sum().sqrt()

        def validate(self, network: Network, dtype: torch.dtype) -> float:
            return 0.0

    recipe = make_recipe("mini", "", size=32)
    network = Network(recipe, start.build(recipe, None, 0))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ConfigError, match="or its gradient is not finite"):
        loop.train(network, Broken(), Schedule(1, 1, 1e-3), tmp_path / "x", "")
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


class Scripted:
    """A task whose batches move the weights, with a head, and with given mAPs of its epochs.

    `broken_in` is an epoch that is interrupted after its first batch.
    """

    n_batches = 2

    def __init__(self, mAPs: list[float], broken_in: int | None = None) -> None:
        self.mAPs, self.broken_in, self.n_validated = mAPs, broken_in, 0
        self.head = torch.nn.Linear(4, 4, bias=False)
        torch.nn.init.eye_(self.head.weight)

    def begin(self, network: Network, epoch: int) -> None:
        self.epoch = epoch

    def batches(self, epoch: int) -> Iterator[float]:
        yield 0.1 * epoch
        if epoch == self.broken_in:
            raise KeyboardInterrupt
        yield -0.2

    def loss(self, network: Network, batch: float, dtype: torch.dtype) -> Tensor:
        weight = network.trunk.get_parameter("layers.features.0.weight").flatten()[:4]
        loss: Tensor = (self.head(weight) - batch).square().sum()
        return loss

    def validate(self, network: Network, dtype: torch.dtype) -> float:
        self.n_validated += 1
        return self.mAPs[self.n_validated - 1]


def scripted(
    file: Path, mAPs: list[float], patience: int | None, *, broken_in: int | None = None
) -> tuple[dict[str, Tensor], list[Epoch]]:
    """Run a scripted training; return its weights and history."""
    recipe = make_recipe("mini", "", size=32)
    network = Network(recipe, start.build(recipe, None, 0))
    schedule = Schedule(6, 1, 1e-2, patience=patience, device="cpu", precision="float32")
    history = loop.train(network, Scripted(mAPs, broken_in), schedule, file, "one")
    return network.state_dict(), history


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_training_that_does_not_improve_ends_with_its_best_weights(tmp_path: Path) -> None:
    mAPs = [0.1, 0.3, 0.3, 0.2, 0.9, 0.9, 0.9]
    kept, history = scripted(tmp_path / "a", mAPs, patience=2)
    assert [e.mAP for e in history] == [0.1, 0.3, 0.3, 0.2]
    assert best(history).number == 1
    assert Schedule(6, 1, 1e-2, patience=2).kept(history).number == 1
    whole, history = scripted(tmp_path / "b", mAPs, patience=None)
    assert len(history) == 7 and Schedule(6, 1, 1e-2).kept(history).number == 6
    assert not equal(kept, whole)
    # Its weights are those after epoch 1, which is broken off in the next one.
    with pytest.raises(KeyboardInterrupt):
        scripted(tmp_path / "c", mAPs, patience=2, broken_in=2)
    state = checkpoints.read(tmp_path / "c", "one")
    assert state is not None and equal(kept, state["network"])
    never, history = scripted(tmp_path / "d", [0.5, 0.4, 0.4], patience=2)
    recipe = make_recipe("mini", "", size=32)
    assert equal(never, Network(recipe, start.build(recipe, None, 0)).state_dict())


def test_an_interrupted_training_keeps_its_count_and_what_its_head_learned(tmp_path: Path) -> None:
    mAPs = [0.1, 0.3, 0.2, 0.2, 0.25, 0.9, 0.9]
    whole, history = scripted(tmp_path / "whole", mAPs, patience=3)
    assert len(history) == 5
    with pytest.raises(KeyboardInterrupt):
        scripted(tmp_path / "parts", mAPs, patience=3, broken_in=3)
    parts, again = scripted(tmp_path / "parts", mAPs[3:], patience=3)
    assert [e.mAP for e in again] == [e.mAP for e in history]
    assert equal(whole, parts)
    one, other = (checkpoints.read(tmp_path / name, "one") for name in ("whole", "parts"))
    assert one is not None and other is not None
    assert equal(one["head"], other["head"]) and equal(one["network"], other["network"])
    assert not torch.equal(one["head"]["weight"], torch.eye(4))
    # A training that has ended does not begin again.
    ended, _ = scripted(tmp_path / "parts", [], patience=3)
    assert equal(ended, whole)


TRAINABLE = [name for name in names() if find(name).runtime is None]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", TRAINABLE)
def test_each_network_of_torch_learns_in_all_its_layers(backbone: str) -> None:
    recipe = make_recipe(backbone, "", size=64)
    start.check_trainable(recipe)
    trunk = start.build(recipe, None, 0)
    network = Network(recipe, trunk)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    statistics = {name: t.clone() for name, t in trunk.named_buffers()}
    descriptors: Tensor = network(pixels)
    descriptors[0, :8].sum().backward()  # type: ignore[no-untyped-call]
    lengths = [0.0 if p.grad is None else p.grad.norm().item() for p in trunk.parameters()]
    assert np.isfinite(lengths).all() and np.mean(np.array(lengths) > 0) > 0.95
    assert equal(statistics, dict(trunk.named_buffers())), "batch norm keeps its statistics"


def test_frozen_layers_keep_their_weights(tmp_path: Path) -> None:
    recipe = make_recipe("mini", "", size=32)
    trunk = start.build(recipe, None, 0)
    start.freeze(trunk, 0.5)
    learned = [p.requires_grad for p in trunk.parameters()]
    # 18 convolutions, each with a weight and a bias.
    assert learned == [False] * 18 + [True] * 18
    before = {name: t.clone() for name, t in trunk.state_dict().items()}

    class Sum(Scripted):
        def loss(self, network: Network, batch: float, dtype: torch.dtype) -> Tensor:
            descriptors: Tensor = network(torch.full((1, 32, 32, 3), 9, dtype=torch.uint8))
            return descriptors.sum()

    loop.train(Network(recipe, trunk), Sum([0.0] * 2), Schedule(1, 1, 1e-2), tmp_path / "x", "")
    kept = [torch.equal(before[name], t) for name, t in trunk.state_dict().items()]
    assert kept[:18] == [True] * 18 and not all(kept)
    for part in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"^frozen must be 0 or more and less than 1"):
            start.freeze(trunk, part)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [rate(step, 1000) for step in range(1000)]
    assert rates[0] < 0.02 and rates[-1] < 1e-4
    assert max(rates) == max(rates[90:110]) > 0.95
    assert rates[100:] == sorted(rates[100:], reverse=True)


def test_where_no_weights_can_be_written_is_told_first(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"to a \.safetensors file, not to weights\.pth"):
        outcome.check_out(tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="there is no folder"):
        outcome.check_out(tmp_path / "no" / "weights.safetensors")
    (tmp_path / "old.safetensors").touch()
    with pytest.raises(ConfigError, match="is there already"):
        outcome.check_out(tmp_path / "old.safetensors")


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "x.checkpoint"
    recipe = make_recipe("mini", "", size=32)
    network = Network(recipe, start.build(recipe, None, 0))
    run = checkpoints.Run(network, torch.nn.Module(), torch.optim.AdamW(network.parameters()))
    checkpoints.save(file, "one", run)
    assert checkpoints.load(file, "one", run)
    with pytest.raises(ConfigError, match="of a training on other images or with other options"):
        checkpoints.read(file, "other")
    assert file.exists()
    assert checkpoints.read(tmp_path / "none", "one") is None
    with pytest.raises(ConfigError, match="cannot read"):
        checkpoints.read(tmp_path, "one")


def test_the_curves_are_drawn(tmp_path: Path) -> None:
    history = [Epoch(0, None, 0.2, 1.0), *(Epoch(i, 1 / i, 0.3, 1.0) for i in (1, 2))]
    draw(history, "mini", tmp_path / "curve.png", ceiling=0.9)
    with Image.open(tmp_path / "curve.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 20) or []
    assert any(colour == (0xD6, 0x40, 0x2B) for _, colour in colours)


@pytest.mark.parametrize("n_epochs", [1, 2])
def test_few_epochs_are_to_be_seen(n_epochs: int, tmp_path: Path) -> None:
    history = [Epoch(0, None, 0.3, 1.0), *(Epoch(n, 1.0, 0.4, 1.0) for n in (1, 2))]
    draw(history[: 1 + n_epochs], "mini", tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as drawn:
        red = (np.asarray(drawn.convert("RGB")) == (214, 64, 43)).all(axis=2)
    for panel in np.split(red, 2, axis=1):
        assert panel.sum() > 30
