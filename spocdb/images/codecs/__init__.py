"""Formats that Pillow alone does not read well or safely, a file each.

Each module of this package declares its formats in `FORMATS`, and they are listed only there.
Importing one must not import the package that it needs.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from spocdb.images.declarations import Format


@cache
def declared() -> tuple[Format, ...]:
    """Return the formats of all modules of this package."""
    modules = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    return tuple(format for module in modules for format in module.FORMATS)
