"""Maps of collections in the API: make one, read it; export a collection as a table."""

import os
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection

if TYPE_CHECKING:
    from spocdb.db.maps import CollectionMap, MapPoints
    from spocdb.maps import Method


class Mapping(Part):
    """Methods of Database about where images lie in two dimensions."""

    def map(
        self,
        collection: str | None = None,
        *,
        method: "Method" = "auto",
        neighbours: int = 15,
        min_distance: float = 0.1,
        seed: int | None = None,
        projection: int | None = None,
    ) -> "CollectionMap":
        """Lay out the images of a collection in two dimensions, and store their positions.

        Similar images come near each other. An earlier map by the same projection is replaced, in
        one transaction. Images that are added later have no position until this is called again.

        Args:
            collection: the name; None if there is only one.
            method: umap; components, the first two of the projection, which takes seconds; or auto,
                umap if it can be used (extra `spocdb[map]`).
            neighbours: how many nearest images of each UMAP keeps near it, 2 to 1000.
            min_distance: how close UMAP may put two images, 0 to 1.
            seed: makes UMAP reproducible, on one core; None lets all cores compute.
            projection: one that the collection keeps; None for the active one.

        Returns:
            What is known about the map; `method` is the one that was used.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: it has no embeddings by this projection.
            ConfigError: no image is embedded, umap-learn cannot be used, a number is out of range,
                or UMAP would take too much memory.
            RightMissing: the role may not store maps.
        """
        from spocdb import maps
        from spocdb.maps import MapOptions

        options = MapOptions(method, neighbours, min_distance, seed)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            return maps.make(connection, target, projection, options)

    def maps(self, collection: str | None = None) -> "list[CollectionMap]":
        """List the maps of a collection, by the number of the projection that they were made by.

        Args:
            collection: the name; None if there is only one.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        from spocdb.db import maps as stored

        with self._engine.connection() as connection:
            return stored.stored(connection, collections.get(connection, collection))

    def describe_map(
        self, collection: str | None = None, *, projection: int | None = None
    ) -> "CollectionMap":
        """Return what is known about a collection's map, without its positions.

        Args:
            collection: the name; None if there is only one.
            projection: the one that it was made by; None for the active one.

        Raises:
            CollectionNotFound: there is no such collection.
            MapNotFound: no map has been made by this projection.
        """
        from spocdb.db import maps as stored

        with self._engine.connection() as connection:
            return stored.find(connection, *_wanted(connection, collection, projection))

    def map_version(self, collection: str | None = None, *, projection: int | None = None) -> str:
        """Return a text that changes when the positions on a collection's map do.

        Args:
            collection: the name; None if there is only one.
            projection: the one that the map was made by; None for the active one.

        Raises:
            CollectionNotFound: there is no such collection.
            MapNotFound: no map has been made by this projection.
        """
        from spocdb.db import maps as stored

        with self._engine.connection() as connection:
            return stored.version(connection, *_wanted(connection, collection, projection))

    def map_points(
        self,
        collection: str | None = None,
        *,
        projection: int | None = None,
        most: int | None = None,
    ) -> "MapPoints":
        """Return the positions of images on a collection's map.

        Args:
            collection: the name; None if there is only one.
            projection: the one that it was made by; None for the active one.
            most: a map with more images is sampled: about so many are returned, and not more; zero
                or more, None for all.

        Returns:
            The images' ids (n,) int64, ascending, and their positions (n, 2) float32 in the same
            order, which take 16 n bytes, and `n_placed`, how many images the map holds. Images that
            came after the map are not among them.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidValue: `most` is negative, or the projection is no integer.
            MapNotFound: no map has been made by this projection.
        """
        from spocdb.db import maps as stored

        if most is not None:
            most = checks.whole("most", most, 0, bound="zero or more, or None")
        with self._engine.connection() as connection:
            target, number = _wanted(connection, collection, projection)
            return stored.points(connection, target, number, most)

    def export(
        self,
        file: str | os.PathLike[str],
        *,
        collection: str | None = None,
        embeddings: bool = False,
        projection: int | None = None,
    ) -> int:
        """Write the images of a collection to a Parquet file, with their positions on its map.

        A row is an image: id, path, width, height, metadata as JSON, x and y; these two are null
        where an image has no position. Needs pyarrow (extra `spocdb[map]`). Memory does not grow
        with the collection. A file that exists is replaced once the new one is complete.

        Args:
            file: where to write, .parquet.
            collection: the name; None if there is only one.
            embeddings: also write each image's embedding (N,), as float32.
            projection: of the map and the embeddings; None for the active one.

        Returns:
            The number of rows.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: it has no embeddings by this projection.
            MapNotFound: the map was replaced or dropped meanwhile.
            ConfigError: pyarrow is missing, the name has another suffix, or the file cannot be
                written.
        """
        from spocdb import exporting

        path = checks.file("file", file)
        exporting.check(path)
        with self._engine.connection() as connection:
            target, number = _wanted(connection, collection, projection)
            return exporting.write(connection, target, number, path, embeddings=embeddings)


def _wanted(
    connection: Connection, collection: str | None, projection: int | None
) -> tuple[Collection, int]:
    target = collections.get(connection, collection)
    if projection is None:
        return target, target.active_projection_id
    return target, checks.projection(projection)
