"""Settings: arguments come before the environment (`SPOCDB_*`), the environment before defaults.

Read once, by `from_environment`, and passed down; nothing else in spocdb looks at the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spocdb.errors import ConfigError

DEFAULT_COLLECTION = "photos"
# Pillow's own limit: a quarter of a gigabyte of RGB.
DEFAULT_MAX_PIXELS = 89_478_485
# The database counts an image's width and height in 32 bits.
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process of spocdb is told from outside.

    `database_url` None means the embedded server under `data_dir`. `cache_dir` remembers where
    weights files lie. `max_pixels` is the limit against decompression bombs.
    """

    # It may hold a password.
    database_url: str | None = field(repr=False)
    data_dir: Path
    cache_dir: Path
    max_pixels: int = DEFAULT_MAX_PIXELS


def from_environment(
    database_url: str | None = None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read the settings. Raises ConfigError for a value that makes no sense."""
    return Settings(
        database_url=database_url or environ.get("SPOCDB_DATABASE_URL") or None,
        data_dir=_folder(environ, "SPOCDB_DATA_DIR", _default_data_dir()),
        cache_dir=_folder(environ, "SPOCDB_CACHE_DIR", Path.home() / ".cache" / "spocdb"),
        max_pixels=_positive(environ, "SPOCDB_MAX_PIXELS", DEFAULT_MAX_PIXELS),
    )


def _default_data_dir() -> Path:
    # As root the embedded server runs as a user of its own, which must be able to reach its data:
    # below /root that would mean opening /root to everybody.
    if os.geteuid() == 0:
        return Path("/var/lib/spocdb")
    import platformdirs

    return Path(platformdirs.user_data_dir("spocdb"))


def _folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    value = environ.get(name)
    return Path(value).expanduser().absolute() if value else default


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"{name} must be a positive whole number, not {text!r}")
    if int(text) > LARGEST:
        raise ConfigError(f"{name} must be a positive whole number, at most {LARGEST}")
    return int(text)
