"""The evaluation loop: every method runs through the product's own ingest and SQL search.

    images -> ingest -> PCA of other images -> activate -> SQL search, exact and by index -> measure

Methods that differ only in pooling get their raw descriptors in one pass before, see together.py.
Collections are temporary and are dropped at the end. Raw descriptors stay, so that the next run is
fast.
"""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from spocdb.api import Database
from spocdb.db import evaluations, images, scratch
from spocdb.errors import ConfigError, DescriptorError
from spocdb.evaluation import together
from spocdb.evaluation.benchmark import Benchmark, restricted
from spocdb.evaluation.gallery import Gallery, Notes
from spocdb.evaluation.methods import Method
from spocdb.evaluation.options import Options
from spocdb.evaluation.plans import Plan, plan
from spocdb.evaluation.results import Result
from spocdb.sources import kinds
from spocdb.sources.walking import walk
from spocdb.wording import counted

log = logging.getLogger(__name__)


def evaluate(
    db: Database,
    benchmark: Benchmark,
    methods: Sequence[Method],
    options: Options,
) -> list[Result]:
    """Measure methods on a benchmark: each raw, with PCA and with whitened PCA of each dimension.

    And with the projections of the database that `options` name.

    Missing images are logged once for all methods. A method that cannot be measured is skipped with
    a warning.

    Raises:
        ConfigError: No method can be measured.
        ProjectionNotFound: There is no such projection.
        DatabaseError: The database fails.
    """
    for number in options.projections:
        db.pca.show(number)  # before hours of work, not after them
    notes = Notes()
    with db.engine.connection() as connection:
        left = scratch.drop_left(connection)
    for name in left:
        log.warning("dropped %s, which an interrupted command had left", name)
    benchmark = restricted(benchmark, benchmark.images)
    notes.missing(benchmark)
    if options.train is None:
        log.warning("no `train=...`: PCA is fitted on the gallery itself, which overfits")
    skipping = partial(_skipping, alone=len(methods) == 1)
    plans: list[Plan] = []
    for method in methods:
        with skipping(method):
            plans.append(plan(db, benchmark, method, options))
    files = [*benchmark.images.values(), *(options.train or ())]
    for sharing in together.groups(planned.chosen for planned in plans):
        # What fails is left to the methods' own ingests: each file is reported there, and a method
        # that cannot be measured is skipped.
        if len(sharing) > 1:
            with suppress(ConfigError, DescriptorError):
                together.describe(db, sharing, files, options)
    results: list[Result] = []
    for planned in plans:
        with (
            skipping(planned.method),
            _prepared(db, benchmark, planned, options, notes) as gallery,
        ):
            results += gallery.measure(options)
    if not results:
        raise ConfigError(f"{benchmark.name}: nothing could be measured: see the lines above")
    return results


def train_images(db: Database, given: str) -> list[Path]:
    """Return the images of a folder, or the existing files of a collection.

    Files of the folder that are left out are logged.

    Raises:
        ConfigError: `given` is neither a folder nor a collection, or has no images.
    """
    left_out = kinds.LeftOut()
    names = [c.name for c in db.collections()]
    if os.path.isdir(given):
        walked = walk([Path(given)], recursive=True, left_out=left_out)
        found = [Path(path) for path in walked]
    elif given in names:
        with db.engine.connection() as connection:
            stored = images.paths(connection, given).values()
        found = [Path(path) for path in sorted(stored) if os.path.isfile(path)]
    else:
        known = f"; there are the collections {', '.join(names)}" if names else ""
        raise ConfigError(
            f"train {given} is neither a folder nor a collection{known}", field="train"
        )
    if not found:
        raise ConfigError(f"train {given} has no images (any more)", field="train")
    if told := kinds.told(left_out):
        log.warning("left out of `train=...` %s: %s", given, told)
    return found


@contextmanager
def _skipping(method: Method, *, alone: bool) -> Iterator[None]:
    """Log why a method cannot be measured; raise the error if there is no other method."""
    try:
        yield
    except (ConfigError, DescriptorError) as error:
        if alone:
            raise
        log.warning("%s: not measured: %s", method.name, error)


@contextmanager
def _prepared(
    db: Database, benchmark: Benchmark, planned: Plan, options: Options, notes: Notes
) -> Iterator[Gallery]:
    """Ingest a method's gallery and training images; drop their collections after the block."""
    mark = f"eval-{uuid4().hex[:8]}"
    names = {role: f"{mark}-{role}" for role in ("gallery", "train")}
    method = planned.method
    with (
        # This connection holds the mark's lock until the block ends.
        db.engine.connection() as connection,
        scratch.marked(connection, mark),
        _dropped(db, names.values()),
    ):
        for role, files in (("gallery", benchmark.images.values()), ("train", options.train)):
            if files is None:
                continue
            done = db.ingest(
                *files,
                collection=names[role],
                extractor=options.extractor,
                weights=options.weights,
                codebook=planned.codebook,
                auto_pca=0,
                thumbnails=False,
                device=options.device,
                precision=options.precision,
                **planned.options,
            )
            log.info(
                "%s: %s, %s through the network",
                method.name,
                counted(done.n_seen, f"{role} image"),
                done.n_new,
            )
            if done.n_failed:
                log.warning(
                    "%s: %s could not be read", method.name, counted(done.n_failed, f"{role} image")
                )
        if options.train is not None:
            _note_overlap(db, names["gallery"], names["train"], notes)
        yield Gallery(db, benchmark, method, names["gallery"], names["train"], options, notes)


def _note_overlap(db: Database, gallery: str, train: str, notes: Notes) -> None:
    """Warn of images that are both in the gallery and in `train`: whitening overfits them."""
    with db.engine.connection() as connection:
        contents, others = (
            {*evaluations.contents(connection, name).values()} for name in (gallery, train)
        )
    if n_shared := len(contents & others):
        notes.warn(
            f"{n_shared} of the gallery's {len(contents)} images are in `train=...` too, byte for "
            "byte: a PCA of the gallery itself overfits"
        )


@contextmanager
def _dropped(db: Database, names: Collection[str]) -> Iterator[None]:
    """Drop the collections, and the projections fitted on them, after the block."""
    try:
        yield
    finally:
        for collection in db.collections():
            if collection.name in names:
                db.drop(collection.name)
        for projection in db.pca.list():
            # Keep projections fitted on other collections, or used by other collections since.
            is_own = {*projection.fitted_on.get("collections", ())} & {*names}
            if is_own and not projection.embedded:
                db.pca.drop(projection.id)
