"""Searching in the API: with an image from outside, or with a stored one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spocdb import search as searching
from spocdb.api.extractors import path_of
from spocdb.api.part import Part
from spocdb.choosing import choose
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

# A file, its bytes, or an image in memory.
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

        A PIL image is treated like its file: it is rotated by its EXIF orientation (after
        `ImageOps.exif_transpose` there is none), its colour profile is applied, and transparency is
        flattened on white. The pixels are those that Pillow decoded. For a JPEG far larger than the
        network's input they differ a little from the file's, because spocdb scales a file while it
        decodes. An array is taken as upright sRGB.

        Args:
            image: a path, a file's bytes, a PIL image, or an array of uint8: (H, W, 3) RGB or
                (H, W) grey.
            k: how many results.
            collection: the name; None if there is only one.
            crop: the part of the upright image to search with, in pixels.
            filter: a condition on the metadata, see docs/reference/filters.md.
            exact: compare all embeddings, without the index.
            refinement: query expansion and re-ranking; by default neither.
            weights: needed only if this machine has never used the collection's weights file.
            codebook: needed only if this machine has never used the collection's codebook file.
            device: auto, cpu, cuda, cuda:1 or mps.

        Returns:
            The hits, nearest first; fewer than k if there are fewer.

        Raises:
            CollectionNotFound: there is no such collection.
            UnreadableImage: the image cannot be decoded, or an array has another type or shape.
            ImageTooLarge: it has more pixels than the settings allow.
            EmptyCrop: the crop does not touch it.
            WeightsNotFound: the collection's weights are not on this machine.
            ConfigError: the file cannot be read, or the filter or refinement is invalid.
        """
        engine, wanted = self._engine, to_json(filter)
        with engine.connection() as connection:
            target = collections.get(connection, collection)
            if weights is not None or codebook is not None:
                files = Wanted(weights=path_of(weights), codebook=path_of(codebook))
                choose(connection, files, target, engine.settings.cache_dir)
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
        """Return the k images that look most like a stored image, which is left out.

        Args:
            id: the image.
            k: how many results.
            collection: the name; None if there is only one.
            filter: a condition on the metadata, see docs/reference/filters.md.
            exact: compare all embeddings, without the index.
            refinement: query expansion and re-ranking; by default neither.

        Returns:
            The hits, nearest first; fewer than k if there are fewer.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: the collection has no image with this id.
            ConfigError: the filter or refinement is invalid.
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
    """Return the query's image; a path is read into bytes."""
    if not isinstance(image, str | os.PathLike):
        return image
    path = Path(image)
    try:
        return read_bytes(path, max_bytes)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc


@contextmanager
def _named(image: Query) -> Iterator[None]:
    """Prefix an error about the image with its path, if the query is a path."""
    try:
        yield
    except (UnreadableImage, ImageTooLarge) as exc:
        if not isinstance(image, str | os.PathLike):
            raise
        raise type(exc)(f"{os.fspath(image)}: {exc}") from exc
