"""The use case behind `spocdb train finetune`."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from spocdb.api import Database
from spocdb.features.network import Network
from spocdb.features.recipes import channels
from spocdb.features.selection import Wanted
from spocdb.features.weights import locate
from spocdb.settings import Limits
from spocdb.training import loop, outcome, samples, start
from spocdb.training.metric_learning import Grouping, MetricLearning
from spocdb.training.objectives import check_loss, make_objective
from spocdb.training.outcome import Job, Trained
from spocdb.training.samples import Sample
from spocdb.training.schedule import Schedule
from spocdb.training.views import Augmentation
from spocdb.wording import counted

log = logging.getLogger(__name__)

DEFAULT_SCHEDULE = Schedule(epochs=10, batch_size=64, learning_rate=1e-4)
DEFAULT_AUGMENTATION = Augmentation(area=0.4, perspective=0.3)
DEFAULT_GROUPING = Grouping()
DEFAULT_LOSS = "multi-similarity"


def finetune(
    db: Database,
    labelled: Callable[[Limits], Sequence[Sample]],
    out: Path,
    parent: Wanted,
    schedule: Schedule = DEFAULT_SCHEDULE,
    *,
    loss: str = DEFAULT_LOSS,
    grouping: Grouping = DEFAULT_GROUPING,
    augmentation: Augmentation = DEFAULT_AUGMENTATION,
    held_out: float = 0.2,
    frozen: float = 0.0,
) -> Trained:
    """Adapt an extractor's network to a domain, using images with labels.

    `labelled` reads the images within limits, for example `partial(by_folder, [folder])`.
    Whole classes are held out. The part `frozen` of the network's layers, counted from the image,
    keeps its weights. The result is a weights file `out` and an extractor of the database: the
    parent's recipe with the new weights. The same call after an interruption resumes from the
    checkpoint.

    Raises:
        ConfigError: An option is invalid, there are too few classes, or `out` cannot be written.
        WeightsNotFound: The parent's weights are missing.
    """
    outcome.check_out(out)
    schedule.check()
    grouping.check(schedule.batch_size)
    check_loss(loss)
    parent_recipe = db.recipe(parent.name, parent.weights, **parent.options)
    start.check_trainable(parent_recipe)
    recipe = replace(parent_recipe, weights="")
    weights = locate(parent_recipe, db.settings.cache_dir)
    trunk = start.build(recipe, weights, schedule.seed)
    start.freeze(trunk, frozen)
    network = Network(recipe, trunk)
    split = samples.split(labelled(db.settings.limits), held_out, schedule.seed)
    log.info(
        "%s of %s to train on, %s of %s held out",
        counted(len(split.train), "image"),
        counted(split.n_classes(split.train), "class", "classes"),
        len(split.held_out),
        counted(split.n_classes(split.held_out), "other class", "other classes"),
    )
    job = Job(
        out,
        {
            "by": "finetune",
            "parent": asdict(parent_recipe),
            "data": split.about(),
            "settings": {
                **asdict(schedule),
                **asdict(grouping),
                "loss": loss,
                "held_out": held_out,
                "frozen": frozen,
                "augmentation": asdict(augmentation),
            },
        },
    )
    task = MetricLearning(
        db,
        job.name,
        recipe,
        split,
        augmentation,
        make_objective(loss, split.n_classes(split.train), channels(recipe), schedule.seed),
        grouping,
        batch_size=schedule.batch_size,
        seed=schedule.seed,
    )
    history = loop.train(network, task, schedule, job.checkpoint, job.fingerprint)
    return outcome.keep(db, network, job, history, schedule.kept(history))
