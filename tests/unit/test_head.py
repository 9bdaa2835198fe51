"""Linear heads: trained on what a projection misses, kept only where held-out classes gain."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.features.discriminative import Int64Array
from spocdb.features.projection import Moments, fit, project
from spocdb.records import Float32Array
from spocdb.soundness import fault
from spocdb.training import head as heads
from spocdb.training.head import Matched
from spocdb.training.schedule import Schedule
from spocdb.training.validation import mean_average_precision

SCHEDULE = Schedule(epochs=30, batch_size=64, learning_rate=3e-2)


def drowned(seed: int = 0, n_classes: int = 40, each: int = 4) -> Matched:
    """Return unit rows whose classes differ only where the variance is small."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(n_classes), each)
    rows = np.zeros((len(classes), 16))
    rows[:, :8] = 0.3 * rng.normal(size=(n_classes, 8))[classes]
    rows[:, :8] += 0.05 * rng.normal(size=(len(classes), 8))
    rows[:, 8:] = rng.normal(size=(len(classes), 8))
    unit: Float32Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Matched(unit, classes)


def squared(embeddings: Tensor, classes: Tensor) -> Tensor:
    """Return a plain loss: similarities should be one within a class, and zero beyond."""
    same = (classes[:, None] == classes).float()
    return ((embeddings @ embeddings.T - same) ** 2).mean()


def quality(matched: Matched, embeddings: Float32Array) -> float:
    return mean_average_precision(embeddings, [str(number) for number in matched.classes])


def test_training_finds_what_the_projection_misses() -> None:
    matched, others = drowned(), drowned(1)
    begin = fit(Moments.of(matched.descriptors), 16, whiten=False)
    best = heads.best_epoch(begin, matched, others, squared, SCHEDULE)
    assert best > 0
    head = heads.begun(begin, matched)
    before = quality(others, project(others.descriptors, begin))
    assert [*heads.trained(head, matched, squared, SCHEDULE)] == [*range(1, 31)]
    trained = heads.as_projection(head, Moments.of(matched.descriptors), {"labels": "kind"})
    assert quality(others, project(others.descriptors, trained)) > 0.5 > 0.1 > before


def test_a_head_begins_as_its_projection() -> None:
    matched = drowned()
    begin = fit(Moments.of(matched.descriptors), 8)
    head = heads.begun(begin, matched)
    with torch.no_grad():
        found = head(torch.from_numpy(matched.descriptors))
    assert found.norm(dim=1).mean().item() == pytest.approx(1, abs=1e-5)
    found /= found.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(found, project(matched.descriptors, begin), atol=1e-5)


def test_a_projection_of_a_head_has_its_similarities_and_sorted_components() -> None:
    rows, others = drowned().descriptors, drowned(1).descriptors
    head = nn.Linear(16, 6)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        head.weight.copy_(torch.randn(6, 16, generator=generator))
        head.bias.copy_(torch.randn(6, generator=generator) / 10)
        expected = nn.functional.normalize(head(torch.from_numpy(others))).numpy()
    projection = heads.as_projection(head, Moments.of(rows), {"labels": "kind", "epochs": 3})
    found = project(others, projection)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)
    assert fault(projection, 16) is None
    assert (projection.kind, projection.n_samples) == ("head", 160)
    assert projection.settings == {"dim": 6, "labels": "kind", "epochs": 3}
    outputs = (rows - rows.mean(axis=0)) @ (projection.components * projection.scale[:, None]).T
    variances = np.cov(outputs.T.astype(np.float64)) * 159
    np.testing.assert_allclose(
        variances, np.diag(projection.singular_values**2), rtol=1e-3, atol=1e-2
    )
    assert (np.diff(projection.explained) <= 0).all()
    assert projection.explained.sum() == pytest.approx(1)


def test_a_head_that_gives_fewer_dimensions_than_it_has_is_refused() -> None:
    head = nn.Linear(16, 6)
    with torch.no_grad():
        head.weight[5] = head.weight[4]
    with pytest.raises(NotEnoughSamples, match="only 5 dimensions, not in 6"):
        heads.as_projection(head, Moments.of(drowned().descriptors), {})


def test_training_that_only_overfits_is_not_kept() -> None:
    matched, others = drowned(), drowned(1)

    def backwards(embeddings: Tensor, classes: Tensor) -> Tensor:
        return -squared(embeddings, classes)

    begin = fit(Moments.of(matched.descriptors), 16)
    assert heads.best_epoch(begin, matched, others, backwards, SCHEDULE) == 0


def test_a_loss_that_is_not_finite_is_said() -> None:
    matched = drowned()
    begin = fit(Moments.of(matched.descriptors), 8)
    with pytest.raises(ConfigError, match=r"the loss is not finite: try a lower `learning_rate="):
        heads.best_epoch(begin, matched, matched, lambda e, _: e.sum() * np.nan, SCHEDULE)


def test_the_same_seed_gives_the_same_weights() -> None:
    matched = drowned()
    begin = fit(Moments.of(matched.descriptors), 8)

    def weights(seed: int) -> Tensor:
        head = heads.begun(begin, matched)
        for _ in heads.trained(head, matched, squared, replace(SCHEDULE, epochs=2, seed=seed)):
            pass
        return head.weight.detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_held_out_classes_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    matched = drowned()
    rest, others = heads.split(matched, 0.2, seed=0)
    assert len(others.classes) == 8 * 4
    assert not {*rest.classes} & {*others.classes}
    assert {*rest.classes} | {*others.classes} == {*range(40)}
    monkeypatch.setattr(heads, "MOST_VALIDATED", 12)
    assert len(heads.split(matched, 0.2, seed=0)[1].classes) == 12
    few = matched.only(matched.classes < 4)
    for part in (0.01, 0.99):
        assert [len({*half.classes}) for half in heads.split(few, part, seed=0)] == [2, 2]


def test_more_than_fits_into_memory_leaves_out_whole_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matched = drowned(n_classes=100)

    def chunks() -> Iterator[tuple[Float32Array, Int64Array]]:
        for rows in np.split(np.arange(400), [50, 130, 131, 390]):
            yield matched.descriptors[rows], matched.classes[rows]

    whole = heads.gathered(chunks(), 16)
    np.testing.assert_array_equal(whole.descriptors, matched.descriptors)
    np.testing.assert_array_equal(whole.classes, matched.classes)
    assert heads.gathered([], 16).descriptors.shape == (0, 16)
    monkeypatch.setattr(heads, "MOST_ROWS", 150)
    part = heads.gathered(chunks(), 16)
    assert 60 <= len(part.classes) <= 150
    assert set(np.unique(part.classes, return_counts=True)[1]) == {4}
