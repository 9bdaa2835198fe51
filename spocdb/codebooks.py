"""Learn a codebook from images: the use case behind `spocdb codebook fit` and evaluations."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError, ImageError
from spocdb.features.codebook_files import save
from spocdb.features.codebooks import Kind, fit
from spocdb.images.decode import decode
from spocdb.images.regular import read_bytes
from spocdb.records import Float32Array
from spocdb.settings import Settings
from spocdb.wording import counted

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

log = logging.getLogger(__name__)

# More images hardly improve the mixture: each has about a thousand local features.
MOST_IMAGES = 1000


def learn(
    extractor: "Extractor",
    kind: Kind,
    k: int,
    files: Sequence[Path],
    settings: Settings,
) -> Path:
    """Return the cached codebook of these images; learn it if the cache has none.

    Of more than `MOST_IMAGES` files, an evenly spaced subset is used.

    Raises:
        ConfigError: The cache cannot be written.
        NotEnoughSamples: There are too few local features.
    """
    used = _spread(files)
    known_by = "\n".join([extractor.recipe.fingerprint, kind, str(k), *map(_state, used)])
    name = hashlib.sha256(known_by.encode()).hexdigest()
    file = settings.cache_dir / "codebooks" / f"{name}.safetensors"
    if not file.is_file():
        log.info("learning a codebook: %s, %s, from %s", kind, k, counted(len(used), "image"))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot write {file}: {error.strerror or error}") from error
        learn_into(file, extractor, kind, k, used, settings)
    return file


def learn_into(
    file: Path,
    extractor: "Extractor",
    kind: Kind,
    k: int,
    files: Sequence[Path],
    settings: Settings,
) -> int:
    """Learn a codebook and write it to a .safetensors file; return the number of images used.

    Images that cannot be read are left out; a warning gives their number and the first reason.

    Raises:
        ConfigError: The file cannot be written.
        NotEnoughSamples: There are too few local features.
    """
    used = _spread(files)
    read: set[Path] = set()
    unreadable: dict[Path, str] = {}

    def maps() -> Iterator[Float32Array]:
        return _maps(extractor, used, settings.max_pixels, read, unreadable)

    try:
        save(fit(kind, k, maps), file)
    finally:
        # Log it also when `fit` raised NotEnoughSamples: unreadable files may be the cause.
        _say_unreadable(unreadable)
    return len(read)


def _say_unreadable(unreadable: Mapping[Path, str]) -> None:
    if unreadable:
        file, reason = next(iter(unreadable.items()))
        n_files = counted(len(unreadable), "unreadable file")
        log.warning("left out: %s, such as %s: %s", n_files, file, reason)


def _spread(files: Sequence[Path]) -> list[Path]:
    """Return at most `MOST_IMAGES` of the files, evenly spread."""
    return sorted(files)[:: max(1, -(-len(files) // MOST_IMAGES))]


def _maps(
    extractor: "Extractor",
    files: Sequence[Path],
    limit: int,
    read: set[Path],
    unreadable: dict[Path, str],
) -> Iterator[Float32Array]:
    """Yield the local features (P, C) of the images that can be read.

    Add those to `read`, and the others to `unreadable` with the reason.
    """
    recipe = extractor.recipe
    for file in files:
        try:
            data = read_bytes(file)
            pixels = decode(data, recipe.size, recipe.fit, limit, recipe.canvas).pixels
        except ImageError as error:
            unreadable[file] = str(error)
            continue
        except OSError as error:
            unreadable[file] = f"cannot read the file: {error.strerror or error}"
            continue
        read.add(file)
        yield extractor.local_features(pixels)


def _state(file: Path) -> str:
    try:
        found = file.stat()
    except OSError:
        return str(file)
    return f"{file.absolute()} {found.st_size} {found.st_mtime_ns}"
