"""Thresholds of near-duplicates in the API: measured, and shown."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from spocdb import calibration, variation
from spocdb import thumbnails as making
from spocdb.api.part import Part
from spocdb.api.pictures import Pictures
from spocdb.calibration import CalibrationOptions
from spocdb.db import collections
from spocdb.db import thresholds as stored
from spocdb.db.thresholds import Thresholds
from spocdb.db.thumbnails import Content
from spocdb.errors import ImageError
from spocdb.thresholds import Calibration
from spocdb.wording import counted

log = logging.getLogger(__name__)

OnDone = Callable[[int, int], None]


class Calibrating(Part):
    """Methods of `db.duplicates` that measure thresholds."""

    def calibrate(
        self,
        collection: str | None = None,
        *,
        images: int = 200,
        precision: float = 0.99,
        copies: float = 1.0,
        seed: int = 0,
        device: str = "auto",
        on_done: OnDone = lambda done, due: None,
    ) -> Calibration:
        """Measure how near copies of the collection's own images are, and store the thresholds.

        Some images are changed as people change copies, and embedded by the active projection. The
        thresholds are the largest distances with the wanted precision; `find(level=...)` uses them.
        Other images whose signature agrees are taken for copies, unless `decide` says that they are
        different. Look at `nearest`: decide about copies among them, and calibrate again.

        Args:
            collection: the name; None if there is only one.
            images: how many are changed.
            precision: the part of what is found that should be right, 0.5 to below 1.
            copies: how many copies of each image the precision supposes. With fewer copies more of
                what is found is wrong, and the distances become smaller.
            seed: chooses the images and their changes.
            device: auto, cpu, cuda, cuda:1 or mps.
            on_done: called after each image, with the numbers of those that are changed and that
                will be.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: an option is out of range.
            NotEnoughSamples: the collection has too few images for this precision, or too few can
                be read.
            WeightsNotFound: the collection's weights are not on this machine.
            ConfigError: another projection was activated meanwhile.
            RightMissing: the role may not store thresholds, or not read an attached table's rows.
        """
        options = CalibrationOptions(images, precision, copies, seed)
        engine, pictures = self._engine, Pictures(self._engine)
        with engine.connection() as connection:
            target = collections.get(connection, collection)
            contents = calibration.sampled(connection, target, options)
            if warning := calibration.caveat(connection, target):
                log.warning("%s: %s", target.name, warning)
        extractor = engine.extractor(target.recipe, device)
        limits = engine.settings.limits
        made = variation.varied(contents, images, pictures.read, extractor, limits, seed, on_done)
        return calibration.calibrate(engine.connection, target, made, self._sign, options)

    def thresholds(self, collection: str | None = None) -> Thresholds | None:
        """Return the thresholds of a collection by its active projection; None if not calibrated.

        Args:
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        with self._engine.connection() as connection:
            return stored.find(connection, collections.get(connection, collection))

    def _sign(self, contents: Sequence[Content]) -> list[Content]:
        """Store the signatures of contents; return those whose thumbnail or image could be read."""
        pictures, limits = Pictures(self._engine), self._engine.settings.limits
        signed = list[Content]()
        for content in contents:
            with suppress(ImageError):
                read = partial(pictures.read, content)
                making.sign(self._engine.connection, content, read, limits)
                signed.append(content)
        if n_lost := len(contents) - len(signed):
            log.warning(
                "%s no signature, as neither a thumbnail is stored nor the file can be read",
                counted(n_lost, "image has", "images have"),
            )
        return signed
