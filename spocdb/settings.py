"""Settings: arguments override the environment (`SPOCDB_*`), which overrides the defaults.

`from_environment` reads them once; nothing else in spocdb reads the environment.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spocdb import machine
from spocdb.errors import ConfigError

DEFAULT_COLLECTION = "photos"
# With fewer images whitening amplifies noise: 1000 are four for each of 256 dimensions.
AUTO_PCA_IMAGES = 1000
# Pillow's own limit: a quarter of a gigabyte of RGB.
DEFAULT_MAX_PIXELS = 89_478_485
# The database counts an image's width and height in 32 bits.
LARGEST = 2**31 - 1
# The most that cameras and scanners write: 89 megapixels of 16-bit RGB are 537 MB.
DEFAULT_MAX_BYTES = 600_000_000
# Images in flight get a quarter of the memory; the network and the database need the rest.
PART_OF_MEMORY = 4
# With less, decoders would wait for each other on small machines.
LEAST_MEMORY = 256 * 2**20
# Images prefetched per decoding thread.
AHEAD_A_THREAD = 8
# Upper bounds against typing errors.
MOST_THREADS, MOST_AHEAD = 1024, 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of images: pixels and bytes of each, and memory of all in flight.

    `memory` bounds prefetched files, the decoders' buffers and decoded pictures, in this process.
    In each run `threads` threads read and decode at most `ahead` images ahead of the network.
    """

    max_pixels: int
    max_bytes: int
    memory: int
    threads: int = field(default_factory=machine.n_cores)
    ahead: int = field(default_factory=lambda: AHEAD_A_THREAD * machine.n_cores())


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of one process.

    `database_url` None means the embedded server under `data_dir`. `cache_dir` holds the paths of
    known weights files. `max_pixels` and `max_bytes` limit each image, `memory` (bytes) all images
    in flight. `threads` threads read and decode, `ahead` is the number of prefetched images (None:
    eight per thread). `allow_private` lets URLs lead to addresses that are not public.
    """

    # It may hold a password.
    database_url: str | None = field(repr=False)
    data_dir: Path
    cache_dir: Path
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_bytes: int = DEFAULT_MAX_BYTES
    memory: int = field(default_factory=lambda: default_memory())
    threads: int = field(default_factory=machine.n_cores)
    ahead: int | None = None
    allow_private: bool = False

    @property
    def limits(self) -> Limits:
        """Return the limits of images."""
        ahead = self.ahead or AHEAD_A_THREAD * self.threads
        return Limits(self.max_pixels, self.max_bytes, self.memory, self.threads, ahead)


def default_memory() -> int:
    """Return the bytes for images in flight: a quarter of the container's or machine's memory."""
    return max(LEAST_MEMORY, machine.memory() // PART_OF_MEMORY)


def from_environment(
    database_url: str | None = None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read the settings.

    Raises:
        ConfigError: A value is malformed or out of range.
    """
    return Settings(
        database_url=database_url or environ.get("SPOCDB_DATABASE_URL") or None,
        data_dir=_folder(environ, "SPOCDB_DATA_DIR", _default_data_dir()),
        cache_dir=_folder(environ, "SPOCDB_CACHE_DIR", Path.home() / ".cache" / "spocdb"),
        max_pixels=_positive(environ, "SPOCDB_MAX_PIXELS", DEFAULT_MAX_PIXELS, LARGEST),
        max_bytes=_positive(environ, "SPOCDB_MAX_BYTES", DEFAULT_MAX_BYTES),
        memory=_positive(environ, "SPOCDB_MEMORY", default_memory()),
        threads=_positive(environ, "SPOCDB_THREADS", machine.n_cores(), MOST_THREADS),
        ahead=_positive(environ, "SPOCDB_AHEAD", 0, MOST_AHEAD) or None,
        allow_private=_switch(environ, "SPOCDB_ALLOW_PRIVATE"),
    )


def _default_data_dir() -> Path:
    # Under root the embedded server runs as another user, who needs access to its data. Below /root
    # that would mean opening /root to all users.
    if os.geteuid() == 0:
        return Path("/var/lib/spocdb")
    import platformdirs

    return Path(platformdirs.user_data_dir("spocdb"))


def _folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = environ.get(name)
    return Path(value).expanduser().absolute() if value else default


def _switch(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "")
    if text not in ("", "0", "1"):
        setting = name.removeprefix("SPOCDB_").lower()
        raise ConfigError(f"{name} must be 0 or 1, not {text!r}", field=setting, bound="0 or 1")
    return text == "1"


def _positive(environ: Mapping[str, str], name: str, default: int, most: int = sys.maxsize) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    setting, bound = name.removeprefix("SPOCDB_").lower(), "a positive whole number"
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"{name} must be {bound}, not {text!r}", field=setting, bound=bound)
    if int(text) > most:
        bound += f", at most {most}"
        raise ConfigError(f"{name} must be {bound}", field=setting, bound=bound)
    return int(text)
