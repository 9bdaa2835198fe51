"""A training's results: a weights file, an extractor in the database, and its parentage.

The weights file's header holds the parentage too, so that the file can be moved to another machine
or database.
"""

import glob
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

import spocdb
from spocdb import outfiles
from spocdb.api import Database
from spocdb.db import collections
from spocdb.errors import ConfigError
from spocdb.features.network import Network
from spocdb.features.recipes import channels
from spocdb.features.weights import remember
from spocdb.records import Recipe
from spocdb.training import checkpoints
from spocdb.training.checkpoints import Epoch

SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class Trained:
    """A training's result: `extractor` is a name for ingest, `parentage` the inputs and options.

    `kept` is the epoch of the history whose weights are in the file.
    """

    extractor: str
    weights: Path
    history: tuple[Epoch, ...]
    kept: Epoch
    parentage: Mapping[str, Any]


def check_out(out: Path) -> None:
    """Check before the training that weights can be written to `out`.

    Raises:
        ConfigError: The suffix is wrong, the folder is missing or read-only, or `out` exists.
    """
    if out.suffix != SUFFIX:
        raise ConfigError(
            f"the weights go to a {SUFFIX} file, not to {out.name}", field="out", bound=SUFFIX
        )
    outfiles.check_folder(out)
    if os.path.lexists(out):
        # An extractor may use this file.
        raise ConfigError(
            f"{out} is there already: give another `out=...`, or move it away", field="out"
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One training, identified by all inputs that decide its result, and its files."""

    out: Path
    about: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the training's inputs, which a checkpoint must match."""
        return hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Return a short name for temporary files and collections."""
        return self.fingerprint[:12]

    @property
    def checkpoint(self) -> Path:
        """Return the path of the checkpoint, which exists until the training is done."""
        return self.out.with_name(f"{self.out.name}.checkpoint")

    def targets(self, number: int) -> Path:
        """Return the path of a teacher's descriptors, which exist until the training is done."""
        return self.out.with_name(f"{self.out.name}.{self.name}.targets-{number}")

    def check(self) -> None:
        """Check an existing checkpoint.

        Raises:
            ConfigError: The checkpoint is broken, or belongs to another training.
        """
        checkpoints.read(self.checkpoint, self.fingerprint)

    def clear(self) -> None:
        """Delete the temporary files of this run and of earlier attempts."""
        targets = self.out.parent.glob(f"{glob.escape(self.out.name)}.*.targets-*")
        for left in (self.checkpoint, *targets):
            left.unlink(missing_ok=True)


def keep(
    db: Database, network: Network, job: Job, history: Sequence[Epoch], kept: Epoch, **more: Any
) -> Trained:
    """Write the weights, add the extractor to the database, delete the temporary files.

    `more` is added to the parentage.
    """
    parentage = {
        **job.about,
        **more,
        "version": spocdb.__version__,
        # Without the seconds, so that equal trainings give equal files.
        "history": [{"epoch": e.number, "loss": e.loss, "mAP": e.mAP} for e in history],
        "epoch": kept.number,
    }
    _write(network, job.out, parentage)
    recipe: Recipe = replace(network.recipe, weights=remember(job.out, db.settings.cache_dir))
    # Check that the weights can be loaded, before the checkpoint is deleted.
    db.engine.extractor(recipe, "cpu", "float32")
    with db.engine.connection() as connection:
        collections.add_extractor(connection, recipe, channels(recipe), parentage)
    job.clear()
    return Trained(recipe.name, job.out, tuple(history), kept, parentage)


def _write(network: Network, out: Path, parentage: Mapping[str, Any]) -> None:
    layers = network.trunk.get_submodule("layers").state_dict()
    state = {name: t.detach().cpu().contiguous() for name, t in layers.items()}
    # One entry, because safetensors writes several in any order; equal trainings give equal files.
    header = {"spocdb": json.dumps(parentage, sort_keys=True)}
    fresh = out.with_name(f"{out.name}.new")
    try:
        # save_file would create a file that only its owner can read.
        fresh.write_bytes(safetensors.torch.save(_halved(network, state), header))
        fresh.replace(out)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}") from error


def _halved(network: Network, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights in half precision if it can represent them."""
    # Batch norm's variances may be too small for half precision.
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return state
    # Swin keeps tables of positions, which are whole numbers.
    halved = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    return halved if all(t.isfinite().all() for t in halved.values()) else state
