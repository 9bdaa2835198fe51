"""The use case behind `spocdb pca learn`: projections that are learned from matching images."""

import logging
from functools import reduce

from spocdb import projections
from spocdb.api import Database
from spocdb.db import collections
from spocdb.errors import NotEnoughSamples
from spocdb.features import discriminative, shrinkage
from spocdb.features.projection import check_options, merge
from spocdb.projections import DEFAULT_DIM, Regularisation
from spocdb.training.matching import Matches, sums
from spocdb.wording import counted

log = logging.getLogger(__name__)

FEWEST_CLASSES = 2


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
    with db.engine.connection() as connection:
        fitted_on = [collections.get(connection, name) for name in names or (None,)]
        projections.check_extractor(fitted_on)
        channels = fitted_on[0].channels
        check_options(channels, dim, 0.0 if regularisation == "auto" else regularisation)
        moments, _, sha256 = projections.moments_of(connection, fitted_on)
    folds = sums(matches.chunks(db, fitted_on), channels)
    n_classes = sum(fold.n_classes for fold in folds)
    if n_classes < FEWEST_CLASSES:
        raise NotEnoughSamples(
            f"{', '.join(c.name for c in fitted_on)}: {counted(n_classes, 'class', 'classes')} of "
            f"two different images or more, {FEWEST_CLASSES} are the least: {matches.missing}"
        )
    if regularisation == "auto":
        regularisation = shrinkage.chosen([fold.moments for fold in folds], centre=False)
    pairs = reduce(merge, [fold.moments for fold in folds])
    fitted = discriminative.fit(moments, pairs, dim, regularisation, matches.settings)
    with db.engine.connection() as connection:
        return projections.keep(
            connection, fitted_on, fitted, sha256, n_classes=n_classes, n_pairs=pairs.count
        )
