"""Check the reference of Python: a hook of MkDocs.

A name of `spocdb.__all__` that no page describes is a warning, which ends `make docs`.
"""

import logging
import zlib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

import spocdb

log = logging.getLogger("mkdocs.hooks.public_names")


@event_priority(-100)
def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Compare the public names with the inventory. MkDocs calls this when all is written."""
    found = described((Path(config.site_dir) / "objects.inv").read_bytes())
    for name in missing(found):
        log.warning("spocdb.%s is public, and no page describes it", name)


def missing(found: set[str]) -> list[str]:
    """Return the public names that are not among those found."""
    return [
        name for name in spocdb.__all__ if f"spocdb.{name}" not in found | {"spocdb.__version__"}
    ]


def described(inventory: bytes) -> set[str]:
    """Return the names in an inventory of Sphinx: four lines of header, then zlib."""
    return {
        line.split()[0]
        for line in zlib.decompress(inventory.split(b"\n", 4)[4]).decode().splitlines()
    }
