"""Searching in the API: by an image from outside, or by one of a collection's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spocdb import search as searching
from spocdb.api.extractors import choose, path_of
from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.db import metadata as about
from spocdb.db.collections import Collection
from spocdb.db.search import Hit
from spocdb.errors import ConfigError, ImageTooLarge, UnreadableImage
from spocdb.features.selection import Wanted
from spocdb.filters import Filter, Json, to_json
from spocdb.images.memory import InMemory
from spocdb.images.regular import read_bytes
from spocdb.records import Crop, Refinement

# A file, its bytes, or an image that the program holds.
Query = str | os.PathLike[str] | bytes | InMemory

NOTHING_MORE = Refinement()


class Searching(Part):
    """Methods of Database that search."""

    def search(
        self,
        image: Query,
        k: int = 10,
        *,
        collection: str | None = None,
        crop: Crop | None = None,
        filter: Filter | None = None,
        exact: bool = False,
        refinement: Refinement = NOTHING_MORE,
        weights: str | os.PathLike[str] | None = None,
        codebook: str | os.PathLike[str] | None = None,
        device: str = "auto",
    ) -> list[Hit]:
        """Return the k images that look most like an image.

        A PIL image is treated as its file would be: turned as its EXIF says (after
        `ImageOps.exif_transpose` that says nothing), its colour profile applied, transparency
        flattened on white. It is searched by the pixels that Pillow gives: those of a JPEG far
        larger than the network's input differ a little from the file's, which spocdb scales while
        it decodes. An array is taken as upright sRGB, without any turn or profile.

        Args:
            image: a path, a file's bytes, a PIL image, or an array of uint8: (H, W, 3) RGB or
                (H, W) grey.
            k: how many results.
            collection: its name; None is the only one.
            crop: the part of the upright image that is meant, in pixels.
            filter: which images of the collection are meant, see docs/reference/filters.md.
            exact: compare all, without the index.
            refinement: query expansion and re-ranking; by default neither.
            weights: needed only where the collection's file was never seen on this machine.
            codebook: needed only where the collection's file was never seen on this machine.
            device: auto, cpu, cuda, cuda:1 or mps.

        Returns:
            The hits, nearest first; fewer than k where there are fewer.

        Raises:
            CollectionNotFound: there is no such collection.
            UnreadableImage: the image cannot be decoded, or an array has another type or shape.
            ImageTooLarge: it has more pixels than the settings allow.
            EmptyCrop: the crop does not touch it.
            WeightsNotFound: the collection's weights are not on this machine.
            ConfigError: the file cannot be read, or the filter or refinement makes no sense.
        """
        engine, wanted = self._engine, to_json(filter)
        with engine.connection() as connection:
            target = collections.get(connection, collection)
            if weights is not None or codebook is not None:
                files = Wanted(weights=path_of(weights), codebook=path_of(codebook))
                choose(engine, connection, files, target)
        with _named(image):
            hits = searching.search(
                engine.connection,
                target,
                _held(image, engine.settings.max_bytes),
                # One image gains nothing from a lower precision.
                lambda recipe: engine.extractor(recipe, device, "float32"),
                k,
                crop=crop,
                filter=wanted,
                exact=exact,
                refinement=refinement,
                max_pixels=engine.settings.max_pixels,
            )
        self._explain(target, wanted, len(hits))
        return hits

    def similar(
        self,
        id: int,
        k: int = 10,
        *,
        collection: str | None = None,
        filter: Filter | None = None,
        exact: bool = False,
        refinement: Refinement = NOTHING_MORE,
    ) -> list[Hit]:
        """Return the k images that look most like one of the collection's own, without it.

        Args:
            id: the image.
            k: how many results.
            collection: its name; None is the only one.
            filter: which images of the collection are meant, see docs/reference/filters.md.
            exact: compare all, without the index.
            refinement: query expansion and re-ranking; by default neither.

        Returns:
            The hits, nearest first; fewer than k where there are fewer.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: it has no image with this id.
            ConfigError: the filter or refinement makes no sense.
        """
        wanted = to_json(filter)
        with self._engine.connection() as connection:
            target = collections.get(connection, collection)
            hits = searching.similar(
                connection, target, id, k, filter=wanted, exact=exact, refinement=refinement
            )
        self._explain(target, wanted, len(hits))
        return hits

    def _explain(self, target: Collection, filter: Json, n_found: int) -> None:
        if filter:
            with self._engine.connection() as connection:
                about.explain(connection, target, filter, n_found)


def _held(image: Query, max_bytes: int) -> bytes | InMemory:
    """Return what a query holds; a path's file is read."""
    if not isinstance(image, str | os.PathLike):
        return image
    path = Path(image)
    try:
        return read_bytes(path, max_bytes)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc


@contextmanager
def _named(image: Query) -> Iterator[None]:
    """Name the file in an error about its content; what is no path has no name."""
    try:
        yield
    except (UnreadableImage, ImageTooLarge) as exc:
        if not isinstance(image, str | os.PathLike):
            raise
        raise type(exc)(f"{os.fspath(image)}: {exc}") from exc
