"""The losses of metric learning: pytorch-metric-learning's, with their authors' settings.

Some compare the descriptors of a batch with each other, with a miner that chooses the pairs or
triplets. Others compare them with proxies, vectors of each class that are learned with the network.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

from torch import Tensor, nn

from spocdb.errors import ConfigError, UnknownChoice
from spocdb.training.seeding import seeded

# Those of pairs and triplets, and those of proxies.
PAIRWISE, WITH_PROXIES = ("contrastive", "triplet", "multi-similarity"), ("arcface", "soft-triple")
LOSSES = (*PAIRWISE, *WITH_PROXIES)


class Objective(NamedTuple):
    """A loss of descriptors, labels and what its miner finds in them; None: all of a batch."""

    loss: nn.Module
    miner: Callable[..., Any] | None

    def __call__(self, descriptors: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of descriptors (n, C) with the numbers (n,) of their classes."""
        mined = self.miner(descriptors, labels) if self.miner else None
        loss: Tensor = self.loss(descriptors, labels, mined)
        return loss


def check_loss(name: str) -> None:
    """Check the name of a loss.

    Raises:
        ConfigError: The name is unknown, or pytorch-metric-learning is not installed.
    """
    if name not in LOSSES:
        raise UnknownChoice("loss", name, LOSSES)
    if find_spec("pytorch_metric_learning") is None:
        raise ConfigError("finetuning needs pytorch-metric-learning: pip install 'spocdb[train]'")


def make_objective(name: str, n_classes: int, dim: int, seed: int) -> Objective:
    """Return a loss for descriptors of `dim` values; its proxies, if any, begin at random."""
    from pytorch_metric_learning import losses, miners

    if name == "contrastive":
        return Objective(losses.ContrastiveLoss(neg_margin=0.7), miners.PairMarginMiner(0.0, 0.7))
    if name == "triplet":
        miner = miners.TripletMarginMiner(0.1, "semihard")
        return Objective(losses.TripletMarginLoss(margin=0.1), miner)
    if name == "multi-similarity":
        return Objective(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner())
    kind = {"arcface": losses.ArcFaceLoss, "soft-triple": losses.SoftTripleLoss}[name]
    with seeded(seed):
        # Only the direction of a proxy counts. Of one length, all turn equally far in a step.
        return Objective(kind(n_classes, dim, weight_init_func=nn.init.normal_), None)
