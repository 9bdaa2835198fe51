"""The entry point of the API: one database and its operations."""

from functools import cached_property
from typing import TYPE_CHECKING, Self

from spocdb.api.browsing import Browsing
from spocdb.api.collections import Collections
from spocdb.api.engine import Engine
from spocdb.api.enqueuing import Enqueuing
from spocdb.api.extractors import Extractors
from spocdb.api.ingesting import Ingesting
from spocdb.api.mapping import Mapping
from spocdb.api.pictures import Pictures
from spocdb.api.reembedding import Reembedding
from spocdb.api.rights import Rights
from spocdb.api.searching import Searching
from spocdb.settings import Settings

if TYPE_CHECKING:
    from spocdb.api.duplicates import Duplicates
    from spocdb.api.index import Index
    from spocdb.api.pca import Pca
    from spocdb.api.review import Review
    from spocdb.api.statements import Statements
    from spocdb.api.tables import Tables


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

    # A part is imported when it is used first: together they take longer than a search.

    @cached_property
    def pca(self) -> "Pca":
        """Return the projections."""
        from spocdb.api.pca import Pca

        return Pca(self.engine)

    @cached_property
    def duplicates(self) -> "Duplicates":
        """Return the near-duplicates."""
        from spocdb.api.duplicates import Duplicates

        return Duplicates(self.engine)

    @cached_property
    def review(self) -> "Review":
        """Return what a person keeps of near-duplicates."""
        from spocdb.api.review import Review

        return Review(self.engine)

    @cached_property
    def index(self) -> "Index":
        """Return the HNSW indexes."""
        from spocdb.api.index import Index

        return Index(self.engine)

    @cached_property
    def tables(self) -> "Tables":
        """Return the attached tables."""
        from spocdb.api.tables import Tables

        return Tables(self.engine)

    @cached_property
    def sql(self) -> "Statements":
        """Return the statements that give the same rows."""
        from spocdb.api.statements import Statements

        return Statements(self.engine)

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
