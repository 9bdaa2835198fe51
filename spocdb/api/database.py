"""The entry point of the API: one database and its operations."""

from typing import Self

from spocdb.api.browsing import Browsing
from spocdb.api.collections import Collections
from spocdb.api.duplicates import Duplicates
from spocdb.api.engine import Engine
from spocdb.api.enqueuing import Enqueuing
from spocdb.api.extractors import Extractors
from spocdb.api.index import Index
from spocdb.api.ingesting import Ingesting
from spocdb.api.mapping import Mapping
from spocdb.api.pca import Pca
from spocdb.api.pictures import Pictures
from spocdb.api.reembedding import Reembedding
from spocdb.api.review import Review
from spocdb.api.rights import Rights
from spocdb.api.searching import Searching
from spocdb.api.statements import Statements
from spocdb.api.tables import Tables
from spocdb.settings import Settings


class Database(
    Ingesting,
    Enqueuing,
    Reembedding,
    Searching,
    Pictures,
    Browsing,
    Mapping,
    Collections,
    Extractors,
    Rights,
):
    """One database and its operations.

    A Database is cheap, and threads may share one: each call takes a connection from the engine's
    pool while it needs it. `spocdb.connect` opens one; `Database(db.engine)` is another on the
    same engine. For failures outside the program every method raises SpocdbError only. Lists and
    results are frozen records. Where the parameter `collection` is None, the only collection is
    used. The loggers `spocdb.*` report progress, see docs/how-to/logging.md.

    Attributes:
        engine: its connections and networks.
        pca: projections, see Pca.
        duplicates: near-duplicates, see Duplicates.
        review: what a person keeps of them, see Review.
        index: HNSW indexes, see Index.
        tables: attached tables, see Tables.
        sql: statements that give the same rows, see Statements.
    """

    def __init__(self, engine: Engine, *, closes_engine: bool = False) -> None:
        super().__init__(engine)
        self.engine, self._closes_engine = engine, closes_engine
        self.pca, self.index, self.tables = Pca(engine), Index(engine), Tables(engine)
        self.sql, self.duplicates = Statements(engine), Duplicates(engine)
        self.review = Review(engine)

    @property
    def settings(self) -> Settings:
        """Return the settings that the engine was opened with."""
        return self.engine.settings

    @property
    def url(self) -> str:
        """Return the database's URL, a password included."""
        return self.engine.url

    def check(self) -> None:
        """Check that the database answers and has this program's schema.

        Raises:
            DatabaseLost: it does not answer.
            SchemaOutOfDate: its schema is missing, older or newer.
        """
        self.engine.check()

    def close(self) -> None:
        """Close the engine's connections, if `spocdb.connect` opened it for this Database alone."""
        if self._closes_engine:
            self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
