"""Projections and indexes of a collection on several servers: the `pca` and `index` of Shards."""

import builtins
import os
from collections.abc import Callable, Sequence

from spocdb import projections as fitting
from spocdb.api.engine import Engine
from spocdb.api.index import Index
from spocdb.api.pca import Pca
from spocdb.db.collections import Collection
from spocdb.db.kinds import Kind
from spocdb.db.projections import ProjectionSummary
from spocdb.distributed.shards import projecting
from spocdb.distributed.shards.servers import Servers, checked
from spocdb.records import Projection


class ShardedPca:
    """The projections of a database of several servers; `shards.pca`.

    One projection has the same numbers on each server. What it is called is its number on the
    first one.
    """

    def __init__(self, engine: Engine, servers: Servers) -> None:
        self._first, self._servers = Pca(engine), servers

    def fit(
        self,
        *names: str,
        dim: int = fitting.DEFAULT_DIM,
        whiten: bool = True,
        centre: bool = True,
        regularisation: fitting.Regularisation = 0.0,
    ) -> int:
        """Fit a PCA on stored raw descriptors of all servers, and store it on each of them.

        The same images give the same projection on one server and on several.

        Args:
            *names: collections to fit on; without names, the only collection.
            dim: dimensions of the embeddings, N.
            whiten: divide by the singular values.
            centre: subtract the mean.
            regularisation: the part of the mean variance that is added to each variance; "auto"
                chooses it by the likelihood of images that are held out.

        Returns:
            The number of the projection on the first server.

        Raises:
            CollectionNotFound: there is no such collection.
            NotEnoughSamples: there are fewer images than a PCA of `dim` dimensions needs.
            ConfigError: the collections have several extractors, or an option is out of range.
        """
        found = [checked(self._servers, name) for name in names or (None,)]
        with self._servers.held() as held:
            return projecting.fit(
                *(self._servers, held, [*zip(*found, strict=True)], dim),
                whiten=whiten,
                centre=centre,
                regularisation=regularisation,
            )

    def list(self) -> builtins.list[ProjectionSummary]:
        """List the projections of the first server, oldest first."""
        return self._first.list()

    def show(self, number: int) -> tuple[ProjectionSummary, Projection]:
        """Return a projection's description and its numbers.

        Raises:
            ProjectionNotFound: there is no such projection.
        """
        return self._first.show(number)

    def export(self, number: int, file: str | os.PathLike[str]) -> None:
        """Write a projection to a .safetensors or .npz file.

        Raises:
            ProjectionNotFound: there is no such projection.
            ConfigError: it is the raw one or an augmentation, or the file cannot be written.
        """
        self._first.export(number, file)

    def import_(self, file: str | os.PathLike[str]) -> int:
        """Store an exported projection on the first server; return its number.

        Raises:
            ConfigError: the file cannot be read, or its numbers cannot be used.
        """
        return self._first.import_(file)

    def activate(self, number: int, collection: str | None = None) -> None:
        """Activate a projection for a collection's searches, on all servers.

        Every server builds its embeddings and its index first. The first server's switch is that of
        all searches.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: the first server has no such projection.
            ConfigError: it is of another extractor, or an augmentation.
        """
        parts = checked(self._servers, collection)
        with self._servers.held() as held:
            projecting.activate(self._servers, [*zip(held, parts, strict=True)], number)

    def rollback(self, collection: str | None = None) -> int:
        """Activate the previous projection and return its number. A second call undoes the first.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: there is no previous one.
        """
        parts = checked(self._servers, collection)
        with self._servers.held() as held:
            return projecting.rollback(self._servers, [*zip(held, parts, strict=True)])


class ShardedIndex:
    """The indexes of a database of several servers, one on each; `shards.index`."""

    def __init__(self, engines: Sequence[Engine], servers: Servers) -> None:
        self._engines, self._servers = engines, servers

    def build(
        self,
        collection: str | None = None,
        kind: Kind | None = None,
        partitions: int | None = None,
    ) -> float | None:
        """Rebuild the active index on each server at once, see `Index.build`.

        Returns:
            The lowest recall@10 of a server; None if none of them has two images.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigError: a server cannot have the kind, or its recall is less than wanted.
            InvalidValue: `partitions` is out of range.
            UnknownChoice: there is no such kind.
        """
        return self._lowest(collection, lambda index, name: index.build(name, kind, partitions))

    def measure(self, collection: str | None = None, recall: float | None = None) -> float | None:
        """Measure the active index on each server, and set the recall that searches shall have.

        Returns:
            The lowest recall@10 of a server; None if none of them has two images.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `recall` is out of range.
        """
        return self._lowest(collection, lambda index, name: index.measure(name, recall))

    def _lowest(
        self, collection: str | None, act: Callable[[Index, str], float | None]
    ) -> float | None:
        parts: list[Collection] = checked(self._servers, collection)
        found = self._servers.with_each(
            parts, lambda server, part: act(Index(self._engines[server.place]), part.name)
        )
        return min((recall for recall in found if recall is not None), default=None)
