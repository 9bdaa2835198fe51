"""Training and held-out samples: images identified by their content, with or without labels.

Where labels come from is told in `labelling.py`.

The held-out part depends only on the content and the seed. Copies of a held-out image under other
names are not trained on.
"""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spocdb.errors import ConfigError, ImageError, InvalidValue
from spocdb.pipeline.chunks import chunks
from spocdb.settings import Limits
from spocdb.sources import kinds
from spocdb.sources.files import read
from spocdb.sources.walking import walk
from spocdb.training.feeding import feed
from spocdb.training.views import decoded
from spocdb.wording import counted

log = logging.getLogger(__name__)

LOOK_BATCH = 64
# Fewer held-out classes or images give no useful mAP.
FEWEST_HELD_OUT = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: its file, the sha256 (hex) of its bytes, and its label ("" without one)."""

    path: Path
    sha256: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """The training samples and the held-out ones."""

    train: Sequence[Sample]
    held_out: Sequence[Sample]

    @staticmethod
    def n_classes(samples: Sequence[Sample]) -> int:
        """Count the different labels."""
        return len({sample.label for sample in samples} - {""})

    def about(self) -> dict[str, object]:
        """Return the data's entries in a network's parentage."""
        return {
            "n_train": len(self.train),
            "n_held_out": len(self.held_out),
            "train_sha256": _digest(self.train),
            "held_out_sha256": _digest(self.held_out),
            "n_train_classes": self.n_classes(self.train),
            "n_held_out_classes": self.n_classes(self.held_out),
        }


def find(paths: Sequence[Path], limits: Limits) -> list[Sample]:
    """Return the images under `paths`, without copies and without labels.

    Raises:
        ConfigError: There are no readable images.
    """
    files = dict.fromkeys(below(paths), "")
    found = readable(files, limits)
    if not found:
        raise ConfigError(f"there are no images under {', '.join(map(str, paths))}")
    return found


def below(paths: Sequence[Path]) -> list[str]:
    """Return the image files under `paths`; log what is left out."""
    left_out = kinds.LeftOut()
    found = list(walk(paths, recursive=True, left_out=left_out))
    if told := kinds.told(left_out):
        log.warning("left out: %s", told)
    return found


def split(samples: Sequence[Sample], part: float, seed: int) -> Split:
    """Hold out a part of the classes, or of the images if they have no labels.

    Raises:
        ConfigError: `part` is out of range, or either side is too small.
    """
    if not 0 < part < 1:
        raise InvalidValue("held_out", f"{part:g}", "between 0 and 1")
    keys = sorted({_key(s) for s in samples}, key=lambda key: _rank(key, seed))
    held = set(keys[: max(FEWEST_HELD_OUT, round(part * len(keys)))])
    held_out = [s for s in samples if _key(s) in held]
    hashes = {s.sha256 for s in held_out}
    train = [s for s in samples if _key(s) not in held and s.sha256 not in hashes]
    # Shuffled by the seed, so that the first samples are a random choice.
    train.sort(key=lambda s: _rank(s.sha256, seed))
    if len({_key(s) for s in train}) < FEWEST_HELD_OUT:
        what = "classes" if samples and samples[0].label else "images"
        raise ConfigError(f"too few {what} to hold some out and train on others: {len(keys)}")
    return Split(train, held_out)


def in_classes(samples: Sequence[Sample], what: str) -> list[Sample]:
    """Return the samples that are in one class of two images or more; log what is left out.

    Raises:
        ConfigError: There are too few such classes; `what` says in the message where they are from.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        names[sample.sha256].add(sample.label)
    clear = [s for s in samples if len(names[s.sha256]) == 1]
    if len(clear) < len(samples):
        log.warning("left out: %s in several classes", counted(len(samples) - len(clear), "image"))
    sizes = Counter(s.label for s in clear)
    # An image alone in its class has no positive pair.
    usable = [s for s in clear if sizes[s.label] > 1]
    if len(usable) < len(clear):
        log.warning("left out: %s alone in a class", counted(len(clear) - len(usable), "image"))
    n_classes = len({s.label for s in usable})
    if n_classes < 2 * FEWEST_HELD_OUT:
        raise ConfigError(
            f"{what} give {counted(n_classes, 'class', 'classes')} of two images or more: "
            f"training needs {2 * FEWEST_HELD_OUT}, and better dozens"
        )
    return usable


def readable(files: Mapping[str, str], limits: Limits) -> list[Sample]:
    """Hash and decode every file; drop copies with the same label; log unreadable files.

    Decoding here leaves unreadable files out of the counts, the split and the parentage.
    """
    found: dict[tuple[str, str], Sample] = {}
    unreadable: list[str] = []

    def look(item: tuple[str, str]) -> Sample | str:
        path, label = item
        try:
            data = read(path, limits.max_bytes)
            with decoded(data, limits):
                pass  # only checks that it can be decoded
        except ImageError as error:
            return f"{path}: {error}"
        return Sample(Path(path), hashlib.sha256(data).hexdigest(), label)

    for group in feed(chunks(sorted(files.items()), LOOK_BATCH), look):
        for looked in group:
            if isinstance(looked, str):
                unreadable.append(looked)
            else:
                found.setdefault((looked.sha256, looked.label), looked)
    if unreadable:
        log.warning(
            "left out: %s, such as %s", counted(len(unreadable), "unreadable file"), unreadable[0]
        )
    return list(found.values())


def _key(sample: Sample) -> str:
    return sample.label or sample.sha256


def _rank(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {key}".encode()).digest()


def _digest(samples: Iterable[Sample]) -> str:
    keys = sorted(f"{sample.sha256} {sample.label}" for sample in samples)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()
