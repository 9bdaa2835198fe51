"""A linear head: weights and a bias, trained by gradient so that matching images become near.

    descriptors of matching images -> weights, bias -> L2 -> loss of the pairs of a batch

It begins as a discriminative whitening. How many epochs help is found on classes that are held out:
none, if training only overfits.
"""

import logging
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from spocdb.errors import ConfigError
from spocdb.features.discriminative import Int64Array
from spocdb.features.projection import Moments, check_rank, with_fixed_signs
from spocdb.pipeline.chunks import chunks
from spocdb.records import Float32Array, Projection
from spocdb.training.schedule import Schedule, rate
from spocdb.training.validation import mean_average_precision

log = logging.getLogger(__name__)

# The loss of embeddings (n, N) with the numbers (n,) of their classes.
Loss = Callable[[Tensor, Tensor], Tensor]

# Images of a class in a batch.
PER_CLASS = 4
# Descriptors in memory; of more, whole classes are left out.
MOST_ROWS = 200_000
# Fewer classes give no useful mAP.
FEWEST_HELD_OUT = 2
# Images that every epoch is validated on, each as a query for the others.
MOST_VALIDATED = 2000


@dataclass(frozen=True, slots=True)
class Matched:
    """Descriptors (n, C) and the number of each one's class (n,)."""

    descriptors: Float32Array
    classes: Int64Array

    def only(self, is_chosen: Any) -> "Matched":
        """Return the rows where `is_chosen` (n,) is true."""
        return Matched(self.descriptors[is_chosen], self.classes[is_chosen])


def gathered(found: Iterable[tuple[Float32Array, Int64Array]], channels: int) -> Matched:
    """Gather matching images in memory; of more than `MOST_ROWS`, a part of the classes."""
    parts = [Matched(np.empty((0, channels), np.float32), np.empty(0, np.int64))]
    kept = 1.0
    for descriptors, classes in found:
        chunk = Matched(descriptors, classes)
        parts.append(chunk.only(_rank(classes) < kept))
        while sum(len(part.classes) for part in parts) > MOST_ROWS:
            kept /= 2
            parts = [part.only(_rank(part.classes) < kept) for part in parts]
    if kept < 1:
        log.info("trained on one of %s classes, which is what fits into memory", round(1 / kept))
    return Matched(
        np.concatenate([part.descriptors for part in parts]),
        np.concatenate([part.classes for part in parts]),
    )


def split(matched: Matched, part: float, seed: int) -> tuple[Matched, Matched]:
    """Divide by class: return the images to train on, and those of held-out classes.

    Both have two classes or more, if there are four.
    """
    numbers, counts = np.unique(matched.classes, return_counts=True)
    most = len(numbers) - FEWEST_HELD_OUT
    n_held_out = max(FEWEST_HELD_OUT, min(most, round(part * len(numbers))))
    order = np.random.default_rng(seed).permutation(len(numbers))[:n_held_out]
    fits = np.cumsum(counts[order]) <= MOST_VALIDATED
    fits[:FEWEST_HELD_OUT] = True
    is_held_out = np.isin(matched.classes, numbers[order[fits]])
    return matched.only(~is_held_out), matched.only(is_held_out)


def best_epoch(
    begin: Projection, matched: Matched, held_out: Matched, loss: Loss, schedule: Schedule
) -> int:
    """Train a head, and return the epoch after which it finds held-out classes best; 0: before.

    Raises:
        ConfigError: The loss is not finite.
    """
    head = begun(begin, matched)
    qualities = [_quality(head, held_out)]
    qualities += [_quality(head, held_out) for _ in trained(head, matched, loss, schedule)]
    best = int(np.argmax(qualities))
    log.info(
        "held-out mAP %.4f before training, %.4f after epoch %s of %s",
        *(qualities[0], qualities[best], best, schedule.epochs),
    )
    return best


def begun(begin: Projection, matched: Matched) -> nn.Linear:
    """Return a projection as a layer, scaled so that embeddings are of length one on average."""
    weights = begin.components * begin.scale[:, None]
    lengths = np.linalg.norm((matched.descriptors - begin.mean) @ weights.T, axis=1)
    weights /= lengths.mean()
    head = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(-weights @ begin.mean))
    return head


def trained(head: nn.Linear, matched: Matched, loss: Loss, schedule: Schedule) -> Iterator[int]:
    """Train a head in place; yield the number of each epoch when it is done.

    Raises:
        ConfigError: The loss is not finite.
    """
    optimiser = torch.optim.AdamW(
        head.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    members = [np.flatnonzero(matched.classes == c).tolist() for c in np.unique(matched.classes)]
    classes_a_batch = max(2, schedule.batch_size // PER_CLASS)
    n_all = schedule.epochs * -(-len(members) // classes_a_batch)
    n_done = 0
    for epoch in range(1, schedule.epochs + 1):
        rng = random.Random(f"{schedule.seed} order {epoch}")
        groups = [rng.sample(m, min(PER_CLASS, len(m))) for m in members]
        rng.shuffle(groups)
        for batch in chunks(groups, classes_a_batch):
            rows = np.concatenate(batch)
            optimiser.param_groups[0]["lr"] = schedule.learning_rate * rate(n_done, n_all)
            optimiser.zero_grad()
            value = loss(
                _embedded(head, matched.descriptors[rows]), torch.from_numpy(matched.classes[rows])
            )
            if not math.isfinite(value.item()):
                raise ConfigError("the loss is not finite: try a lower `learning_rate=...`")
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            n_done += 1
        yield epoch


def as_projection(head: nn.Linear, moments: Moments, settings: dict[str, Any]) -> Projection:
    """Return a head as a projection, with the `moments` of the images that it is for.

    The embeddings are rotated, which changes no similarity, so that their components are
    uncorrelated, the strongest first. The bias becomes the point that it takes to the origin.

    Raises:
        NotEnoughSamples: The embeddings do not span their dimensions.
    """
    weights = head.weight.detach().numpy().astype(np.float64)
    bias = head.bias.detach().numpy().astype(np.float64)
    eigenvalues, eigenvectors = np.linalg.eigh(weights @ moments.scatter @ weights.T)
    check_rank(eigenvalues, moments.count, len(weights))
    rows = eigenvectors[:, ::-1].T @ weights
    scale = np.linalg.norm(rows, axis=1)
    return Projection(
        mean=(-np.linalg.pinv(weights) @ bias).astype(np.float32),
        components=with_fixed_signs(rows / scale[:, None]).astype(np.float32),
        scale=scale,
        singular_values=np.sqrt(eigenvalues[::-1]),
        explained=eigenvalues[::-1] / eigenvalues.sum(),
        n_samples=moments.count,
        settings={"dim": len(weights), **settings},
        kind="head",
    )


def _embedded(head: nn.Linear, descriptors: Float32Array) -> Tensor:
    embeddings: Tensor = functional.normalize(head(torch.from_numpy(descriptors)))
    return embeddings


def _quality(head: nn.Linear, held_out: Matched) -> float:
    with torch.inference_mode():
        embeddings: Float32Array = _embedded(head, held_out.descriptors).numpy()
    return mean_average_precision(embeddings, [str(number) for number in held_out.classes])


def _rank(classes: Int64Array) -> Any:
    """Return a number between 0 and 1 for each class, spread evenly (Knuth's hash)."""
    return classes * 2654435761 % 2**32 / 2**32
