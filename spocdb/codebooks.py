"""Learn a codebook from images: the use case behind `spocdb codebook fit` and evaluations."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb.errors import ConfigError
from spocdb.features.codebook_files import save
from spocdb.features.codebooks import Kind, fit
from spocdb.records import Float32Array
from spocdb.samples import Samples, spread
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
    used = spread(files, MOST_IMAGES)
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
    samples = Samples(spread(files, MOST_IMAGES), settings.max_pixels)

    def maps() -> Iterator[Float32Array]:
        return map(extractor.local_features, samples.pixels(extractor.recipe))

    with samples.told():
        save(fit(kind, k, maps), file)
    return len(samples.read)


def _state(file: Path) -> str:
    try:
        found = file.stat()
    except OSError:
        return str(file)
    return f"{file.absolute()} {found.st_size} {found.st_mtime_ns}"
