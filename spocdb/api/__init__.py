"""The Python API, with the command line's nouns: `spocdb.connect()` returns a Database.

The other public names are imported when one of them is used first: together they take longer than
a search.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from spocdb.api.connecting import connect as connect
from spocdb.api.database import Database as Database
from spocdb.api.engine import Engine as Engine

if TYPE_CHECKING:
    from spocdb.api.public import *  # noqa: F403
    from spocdb.api.public import __all__ as __all__

# Until the application configures logging, spocdb prints nothing, not even warnings on stderr.
logging.getLogger("spocdb").addHandler(logging.NullHandler())

# Hidden from type checkers, which would accept any attribute of a module with `__getattr__`.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Return one of the public names."""
        public = import_module("spocdb.api.public")
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
