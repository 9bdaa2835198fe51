"""The use case behind `spocdb pca learn`: projections that are learned from matching images."""

import logging
from dataclasses import dataclass
from functools import partial, reduce
from itertools import islice

from spocdb import projections
from spocdb.api import Database
from spocdb.db import collections
from spocdb.db.collections import Collection
from spocdb.errors import InvalidValue, NotEnoughSamples, UnknownChoice
from spocdb.features import discriminative, shrinkage
from spocdb.features.discriminative import Within
from spocdb.features.projection import Moments, check_options, merge
from spocdb.projections import DEFAULT_DIM, Regularisation
from spocdb.records import Projection
from spocdb.soundness import scarcity
from spocdb.training import head as heads
from spocdb.training.matching import Chunk, Matches, sums
from spocdb.training.objectives import PAIRWISE, check_loss, make_objective
from spocdb.training.schedule import Schedule
from spocdb.wording import counted

log = logging.getLogger(__name__)

FEWEST_CLASSES = 2
DEFAULT_SCHEDULE = Schedule(epochs=20, batch_size=256, learning_rate=1e-3)
DEFAULT_LOSS = "multi-similarity"
# The options of a training that a head depends on.
KEPT_OF_SCHEDULE = ("epochs", "batch_size", "learning_rate", "weight_decay", "seed")


@dataclass(frozen=True, slots=True)
class _Gallery:
    """The collections to fit on, the moments of all their images, and a hash of these."""

    collections: list[Collection]
    moments: Moments
    sha256: str

    @property
    def channels(self) -> int:
        return self.collections[0].channels

    @property
    def name(self) -> str:
        return ", ".join(c.name for c in self.collections)


def whiten(
    db: Database,
    matches: Matches,
    *names: str,
    dim: int = DEFAULT_DIM,
    regularisation: Regularisation = "auto",
) -> int:
    """Fit a discriminative whitening on the images of collections; return its number.

    All images count for the mean and for what distinguishes images, the matching ones for what does
    not. The same images, labels and settings give the same projection, which is stored once.
    Searches do not use it until it is activated (`db.pca.activate`).

    Args:
        db: the database.
        matches: where the pairs come from: `Labelled(KEY)` or `Views(N)`.
        *names: collections to fit on; without names, the only collection.
        dim: dimensions of the embeddings, N.
        regularisation: the part of the mean variance that is added to each variance of the pairs'
            differences; "auto" chooses it by the likelihood of classes that are held out.

    Raises:
        CollectionNotFound: There is no such collection.
        NotEnoughSamples: There are too few images or pairs.
        ConfigError: The collections have several extractors, or an option is out of range.
    """
    gallery = _looked_at(db, names, dim, regularisation)
    folds = sums(matches.chunks(db, gallery.collections), gallery.channels)
    _check_classes(gallery, folds, matches, FEWEST_CLASSES)
    return _kept(db, gallery, folds, _whitening(gallery, folds, dim, regularisation, matches))


def train_head(
    db: Database,
    matches: Matches,
    *names: str,
    dim: int = DEFAULT_DIM,
    loss: str = DEFAULT_LOSS,
    schedule: Schedule = DEFAULT_SCHEDULE,
    held_out: float = 0.2,
) -> int:
    """Train a linear head on the images of collections; return its number.

    It begins as the discriminative whitening. A part of the classes is held out to find the number
    of epochs; then it is trained on all classes for as many.

    Args:
        db: the database.
        matches: where the pairs come from: `Labelled(KEY)` or `Views(N)`.
        *names: collections to fit on; without names, the only collection.
        dim: dimensions of the embeddings, N.
        loss: contrastive, triplet or multi-similarity.
        schedule: how long and how fast it learns; device and precision do not count.
        held_out: the part of the classes to validate on.

    Raises:
        CollectionNotFound: There is no such collection.
        NotEnoughSamples: There are too few images, pairs or classes.
        ConfigError: The collections have several extractors, an option is out of range, or
            pytorch-metric-learning is not installed.
    """
    if not 0 < held_out < 1:
        raise InvalidValue("held_out", f"{held_out:g}", "between 0 and 1")
    schedule.check()
    objective = _objective(loss)
    gallery = _looked_at(db, names, dim)
    matched = heads.gathered(matches.chunks(db, gallery.collections), gallery.channels)
    folds = _sums(gallery, matched)
    # Two to train on and two to validate on.
    _check_classes(gallery, folds, matches, 2 * FEWEST_CLASSES)
    rest, others = heads.split(matched, held_out, schedule.seed)
    begin = partial(_whitening, gallery, dim=dim, regularisation="auto", matches=matches)
    n_epochs = heads.best_epoch(begin(_sums(gallery, rest)), rest, others, objective, schedule)
    head = heads.begun(begin(folds), matched)
    for _ in islice(heads.trained(head, matched, objective, schedule), n_epochs):
        pass
    settings = {
        **matches.settings,
        "loss": loss,
        **{name: getattr(schedule, name) for name in KEPT_OF_SCHEDULE},
        "held_out": held_out,
        "best_epoch": n_epochs,
    }
    return _kept(db, gallery, folds, heads.as_projection(head, gallery.moments, settings))


def _objective(name: str) -> heads.Loss:
    if name not in PAIRWISE:
        raise UnknownChoice("loss", name, PAIRWISE)
    check_loss(name)
    # Only the losses with proxies need to know classes and dimensions.
    return make_objective(name, n_classes=0, dim=0, seed=0).__call__


def _looked_at(
    db: Database, names: tuple[str, ...], dim: int, regularisation: Regularisation = "auto"
) -> _Gallery:
    with db.engine.connection() as connection:
        fitted_on = [collections.get(connection, name) for name in names or (None,)]
        projections.check_extractor(fitted_on)
        amount = 0.0 if regularisation == "auto" else regularisation
        check_options(fitted_on[0].channels, dim, amount)
        moments, _, sha256 = projections.moments_of(
            projections.samples_of(connection, fitted_on), fitted_on[0].channels
        )
    return _Gallery(fitted_on, moments, sha256)


def _sums(gallery: _Gallery, matched: heads.Matched) -> list[Within]:
    chunk: Chunk = matched.descriptors, matched.classes
    return sums(iter([chunk]), gallery.channels)


def _check_classes(gallery: _Gallery, folds: list[Within], matches: Matches, least: int) -> None:
    n_classes = sum(fold.n_classes for fold in folds)
    if n_classes < least:
        raise NotEnoughSamples(
            f"{gallery.name}: {counted(n_classes, 'class', 'classes')} of two different images or "
            f"more, {least} are the least: {matches.missing}"
        )


def _whitening(
    gallery: _Gallery,
    folds: list[Within],
    dim: int,
    regularisation: Regularisation,
    matches: Matches,
) -> Projection:
    if regularisation == "auto":
        regularisation = shrinkage.chosen([fold.moments for fold in folds], centre=False)
    pairs = reduce(merge, [fold.moments for fold in folds])
    return discriminative.fit(gallery.moments, pairs, dim, regularisation, matches.settings)


def _kept(db: Database, gallery: _Gallery, folds: list[Within], fitted: Projection) -> int:
    counts = {
        "n_classes": sum(fold.n_classes for fold in folds),
        "n_pairs": sum(fold.n_pairs for fold in folds),
    }
    if few := scarcity(fitted.kind, fitted.dim, fitted.n_samples, fitted.settings, counts):
        log.warning("warning: %s: bring more pairs, or fewer dimensions (`dim=...`)", few)
    with db.engine.connection() as connection:
        return projections.keep(connection, gallery.collections, fitted, gallery.sha256, **counts)
