"""Checks of a collection that hold for every extractor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spocdb.db import collections, projections
from spocdb.features.projection import project
from tests.fixtures.opened import Database

Options = dict[str, Any]

N_PHOTOS = 24


IMAGES = "SELECT id, path, sha256, metadata, ingested_at FROM spocdb.images ORDER BY id"


def save_random(model: Callable[..., Any], seed: int, file: Path) -> Path:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(model(weights=None).state_dict(), file)
    return file


def command(options: Options) -> list[object]:
    """Return a recipe's options as command-line arguments."""
    return [f"--{name}={value}" for name, value in options.items() if name != "extractor"]


def once(function: Callable[[], object]) -> Callable[..., None]:
    """Return a callback that runs an action the first time that it is called."""
    left = [function]

    def call(*_: object) -> None:
        if left:
            left.pop()()

    return call


def extractor_of(db: Database, collection: str = "photos") -> str:
    return next(c.extractor for c in db.collections() if c.name == collection)


def check(db: Database, n_images: int) -> None:
    """Compare every active embedding with one computed from its image."""
    target = collections.get(db.connection, "photos")
    rows = db.connection.execute(
        "SELECT v.embedding::real[], d.descriptor::real[] FROM spocdb.photos v "
        "JOIN spocdb.descriptors d ON d.sha256 = v.sha256 AND d.extractor_id = %s",
        [target.extractor_id],
    ).fetchall()
    assert len(rows) == n_images
    ((n_stored,),) = db.connection.execute("SELECT count(*) FROM spocdb.images")
    assert n_stored == n_images
    projection = projections.load(db.connection, target.active_projection_id)
    expected = project(np.array([row[1] for row in rows], np.float32), projection)
    assert np.abs(np.array([row[0] for row in rows]) - expected).max() < 1e-3
    assert next(s.index for s in db.index.status("photos") if s.active)
