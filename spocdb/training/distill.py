"""The use case behind `spocdb train distill`."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spocdb.api import Database
from spocdb.features.network import Network
from spocdb.features.recipes import channels, make_recipe
from spocdb.features.selection import Wanted
from spocdb.features.weights import sha256_of
from spocdb.recipe_options import RecipeOptions
from spocdb.training import loop, outcome, samples, start
from spocdb.training.copies import Copies
from spocdb.training.distillation import Distillation
from spocdb.training.outcome import Job, Trained
from spocdb.training.schedule import Schedule
from spocdb.training.teaching import Teacher, Teachers
from spocdb.training.views import MILD, Augmentation
from spocdb.wording import counted

log = logging.getLogger(__name__)

DEFAULT_SCHEDULE = Schedule(epochs=20, batch_size=32, learning_rate=1e-3)
NO_COPIES = Copies()


@dataclass(frozen=True, slots=True)
class Student:
    """The network to train: a preset, its recipe's options, and its initial weights.

    `start` is a weights file, "random", or None for the preset's own weights.
    """

    preset: str = "mini"
    start: str | Path | None = None
    recipe: RecipeOptions = field(default_factory=RecipeOptions)


def distill(
    db: Database,
    paths: Sequence[Path],
    out: Path,
    teachers: Sequence[Wanted],
    student: Student = Student(),
    schedule: Schedule = DEFAULT_SCHEDULE,
    *,
    augmentation: Augmentation = MILD,
    copies: Copies = NO_COPIES,
    n_views: int = 4,
    held_out: float = 0.1,
    frozen: float = 0.0,
) -> Trained:
    """Train a student to reproduce its teachers' descriptors of the images under `paths`.

    Needs no labels. If `copies` have a weight, the student also learns that copies of an image are
    near and other images far. The result is a weights file `out` and an extractor of the database.
    Held-out images are neither trained on nor used for the teachers' PCA. The same call after an
    interruption resumes from the checkpoint.

    Raises:
        ConfigError: An option is invalid, there are no images, or `out` cannot be written.
        WeightsNotFound: The weights of a teacher or of the student are missing.
        NotEnoughSamples: There are too few images for the student's dimensions.
    """
    outcome.check_out(out)
    schedule.check()
    copies.check()
    recipe = make_recipe(student.preset, "", **student.recipe)
    start.check_trainable(recipe)
    taught_by = [db.recipe(t.name, t.weights, **t.options) for t in teachers]
    extractors = [db.engine.extractor(r, schedule.device, schedule.precision) for r in taught_by]
    begin_with = start.find(student.preset, student.start, db.settings.cache_dir)
    trunk = start.build(recipe, begin_with, schedule.seed)
    start.freeze(trunk, frozen)
    network = Network(recipe, trunk)
    found = samples.find(paths, db.settings.limits)
    split = samples.split(found, held_out, schedule.seed)
    log.info("%s to train on, %s held out", counted(len(split.train), "image"), len(split.held_out))
    job = Job(
        out,
        {
            "by": "distill",
            "teachers": [asdict(recipe) for recipe in taught_by],
            "start": None if begin_with is None else sha256_of(begin_with),
            "recipe": asdict(recipe),
            "data": split.about(),
            "settings": {
                **asdict(schedule),
                "n_views": n_views,
                "held_out": held_out,
                "frozen": frozen,
                "augmentation": asdict(augmentation),
                "copies": asdict(copies),
            },
        },
    )
    job.check()
    shape = len(split.train), n_views
    task = Distillation(
        recipe,
        Teachers([Teacher(e, job.targets(i), *shape) for i, e in enumerate(extractors)]),
        split,
        augmentation,
        copies,
        n_views=n_views,
        batch_size=schedule.batch_size,
        seed=schedule.seed,
        limits=db.settings.limits,
    )
    ceiling = task.fit_targets(channels(recipe))
    log.info("the teachers' own held-out mAP is %.4f", ceiling)
    if not job.checkpoint.exists() and start.has_new_last(recipe, begin_with):
        task.fit_last(network)
    history = loop.train(network, task, schedule, job.checkpoint, job.fingerprint)
    return outcome.keep(db, network, job, history, schedule.kept(history), teachers_mAP=ceiling)
