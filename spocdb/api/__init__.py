"""The Python API, with the command line's nouns: `spocdb.connect()` returns a Database."""

from spocdb.api.database import Database
from spocdb.db.attachments import Attachment
from spocdb.worker import WorkerOptions

__all__ = ["Attachment", "Database", "WorkerOptions"]
