"""The Python API, with the command line's nouns: `spocdb.connect()` returns a Database."""

from spocdb.api.database import Database

__all__ = ["Database"]
