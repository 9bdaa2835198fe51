"""Searching in the API: with an image from outside, or with a stored one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb import search as searching
from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.db.collections import Collection
from spocdb.db.search import Hit
from spocdb.errors import ConfigError, ImageTooLarge, InvalidValue, UnreadableImage
from spocdb.filters import Filter, Json, to_json
from spocdb.records import Crop, Float32Array, Recipe, Refinement
from spocdb.search import NOTHING_MORE, Describe, Request

if TYPE_CHECKING:
    from spocdb.images.memory import InMemory

    # A file, its bytes, or an image in memory.
    Query = str | os.PathLike[str] | bytes | InMemory


class Searching(Part):
    """Methods of Database that search."""

    def search(
        self,
        image: "Query",
        k: int | None = 10,
        *,
        collection: str | None = None,
        crop: Crop | None = None,
        filter: Filter | None = None,
        exact: bool = False,
        recall: float | None = None,
        refinement: Refinement = NOTHING_MORE,
        projection: int | None = None,
        max_distance: float | None = None,
        collapse: bool = False,
        like: Sequence[int] = (),
        unlike: Sequence[int] = (),
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
            k: how many results, 1 to 2147483647; None for all up to `max_distance`, compared
                exactly.
            collection: the name; None if there is only one.
            crop: the part of the upright image to search with, in pixels.
            filter: a condition on the metadata, see docs/reference/filters.md.
            exact: compare all embeddings, without the index.
            recall: the part of the k nearest that a search by the index finds, more than 0 and at
                most 1; None for the collection's, at first 0.99 (see `db.index.measure`).
            refinement: query expansion and re-ranking; by default neither.
            projection: the number of one that the collection keeps, even of another extractor;
                None for the active one.
            max_distance: leave out hits farther than this, 0 to 2. It applies to the distance that
                a hit has: to the query, with expansion to the expanded one. Re-ranking orders the
                whole short list, and only then are the hits beyond it left out.
            collapse: show a group of duplicates once, by its nearest hit, with the number of others
                as `n_duplicates`; the groups are those of `db.duplicates`. k hits are k groups.
            like: ids of stored images that the hits should look like, too (Rocchio's method).
            unlike: ids of stored images that the hits should not look like.
            weights: needed only if this machine has never used the collection's weights file.
            codebook: needed only if this machine has never used the collection's codebook file.
            device: auto, cpu, cuda, cuda:1 or mps.

        Returns:
            The hits, nearest first; fewer than k if there are fewer, or fewer are near enough.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: the collection has no embeddings by this projection.
            DuplicatesNotFound: `collapse`, and no duplicates were looked for by the active
                projection.
            ImageNotFound: the collection has no image with one of the ids.
            UnreadableImage: the image cannot be decoded, or an array has another type or shape.
            ImageTooLarge: it has more pixels than the settings allow.
            EmptyCrop: the crop does not touch it.
            WeightsNotFound: the collection's weights are not on this machine.
            InvalidValue: `k`, the refinement, distance or recall is out of range, neither `k` nor
                `max_distance` is given, or an id, the name or the crop is of another type.
            ConfigError: the file cannot be read, or the filter is invalid.
        """
        engine = self._engine
        request = Request(
            *(k, to_json(filter), exact, refinement, projection, max_distance, collapse),
            recall=recall,
        )
        liked, disliked = checks.image_ids(like, "like"), checks.image_ids(unlike, "unlike")
        with engine.connection() as connection:
            found = collections.get(connection, collection)
            target = collections.as_if_active(connection, found, projection)
            if weights is not None or codebook is not None:
                from spocdb.api.extractors import path_of
                from spocdb.choosing import choose
                from spocdb.features.selection import Wanted

                files = Wanted(
                    weights=path_of("weights", weights), codebook=path_of("codebook", codebook)
                )
                choose(connection, files, target, engine.settings.cache_dir)
        with _named(image):
            described = self._described(image, crop, device)
            hits = self._searched(target, described, request, liked, disliked)
        self._explain(target, request.filter, len(hits))
        return hits

    def embed(
        self,
        image: "Query",
        *,
        collection: str | None = None,
        crop: Crop | None = None,
        projection: int | None = None,
        device: str = "auto",
    ) -> Float32Array:
        """Return an image's embedding (N,) of length one, to compare with a collection's in SQL.

        `SELECT ... FROM spocdb.photos ORDER BY embedding <#> ...` takes it if `projection` is None:
        the view of a collection shows the embeddings by the active projection.

        Args:
            image: what `search` takes.
            collection: the name; None if there is only one.
            crop: the part of the upright image to embed, in pixels.
            projection: the number of one that the collection keeps; None for the active one.
            device: auto, cpu, cuda, cuda:1 or mps.

        Raises:
            CollectionNotFound: there is no such collection.
            ProjectionNotFound: the collection has no embeddings by this projection.
            UnreadableImage: the image cannot be decoded, or an array has another type or shape.
            ImageTooLarge: it has more pixels than the settings allow.
            EmptyCrop: the crop does not touch it.
            WeightsNotFound: the collection's weights are not on this machine.
            ConfigError: the file cannot be read.
        """
        with self._engine.connection() as connection:
            found = collections.get(connection, collection)
            target = collections.as_if_active(connection, found, projection)
        with _named(image):
            described = self._described(image, crop, device)
            return searching.embed(self._engine.connection, target, described, projection)

    def similar(
        self,
        id: int | Sequence[int],
        k: int | None = 10,
        *,
        collection: str | None = None,
        filter: Filter | None = None,
        exact: bool = False,
        recall: float | None = None,
        refinement: Refinement = NOTHING_MORE,
        projection: int | None = None,
        max_distance: float | None = None,
        collapse: bool = False,
        unlike: Sequence[int] = (),
    ) -> list[Hit]:
        """Return the k images that look most like one stored image or several.

        These images, and those of `unlike`, are left out of the hits.

        Args:
            id: the image, or several. Of several the query is made by Rocchio's method, in SQL by
                `spocdb.rocchio`.
            k: how many results, 1 to 2147483647; None for all up to `max_distance`, compared
                exactly.
            collection: the name; None if there is only one.
            filter: a condition on the metadata, see docs/reference/filters.md.
            exact: compare all embeddings, without the index.
            recall: the part of the k nearest that a search by the index finds, more than 0 and at
                most 1; None for the collection's, at first 0.99 (see `db.index.measure`).
            refinement: query expansion and re-ranking; by default neither.
            projection: the number of one that the collection keeps, even of another extractor;
                None for the active one.
            max_distance: leave out hits farther than this, 0 to 2. It applies to the distance that
                a hit has: to the query, with expansion to the expanded one. Re-ranking orders the
                whole short list, and only then are the hits beyond it left out.
            collapse: show a group of duplicates once, by its nearest hit, with the number of others
                as `n_duplicates`; the groups are those of `db.duplicates`. k hits are k groups.
            unlike: ids of stored images that the hits should not look like.

        Returns:
            The hits, nearest first; fewer than k if there are fewer, or fewer are near enough.

        Raises:
            CollectionNotFound: there is no such collection.
            ImageNotFound: the collection has no image with one of the ids.
            ProjectionNotFound: the collection has no embeddings by this projection.
            DuplicatesNotFound: `collapse`, and no duplicates were looked for by the active
                projection.
            InvalidValue: no image is given; `k`, the refinement, distance or recall is out of
                range; neither `k` nor `max_distance` is given; or an id is no integer.
            ConfigError: the filter is invalid.
        """
        request = Request(
            *(k, to_json(filter), exact, refinement, projection, max_distance, collapse),
            recall=recall,
        )
        if not (ids := checks.image_ids(id)):
            raise InvalidValue("id", ids, "one image or more")
        disliked = checks.image_ids(unlike, "unlike")
        with self._engine.connection() as connection:
            found = collections.get(connection, collection)
            target = collections.as_if_active(connection, found, projection)
        hits = self._similar(target, ids, request, disliked)
        self._explain(target, request.filter, len(hits))
        return hits

    def _searched(
        self,
        target: Collection,
        described: Describe,
        request: Request,
        like: Sequence[int],
        unlike: Sequence[int],
    ) -> list[Hit]:
        return searching.search(self._engine.connection, target, described, request, like, unlike)

    def _similar(
        self, target: Collection, ids: Sequence[int], request: Request, unlike: Sequence[int]
    ) -> list[Hit]:
        with self._engine.connection() as connection:
            return searching.similar(connection, target, ids, request, unlike)

    def _described(self, image: "Query", crop: Crop | None, device: str) -> Describe:
        """Return what describes a query by the extractor of a recipe; a file is read now."""
        if not isinstance(crop, Crop | None):
            raise checks.invalid("crop", crop, "a Crop")
        engine = self._engine
        held = _held(image, engine.settings.max_bytes)

        def described(recipe: Recipe) -> Float32Array:
            load = partial(engine.describer, recipe, device)
            return searching.describe(held, recipe, load, engine.settings.limits, crop)

        return described

    def _explain(self, target: Collection, filter: Json, n_found: int) -> None:
        if filter:
            from spocdb.db import metadata as about

            with self._engine.connection() as connection:
                about.explain(connection, target, filter, n_found)


def _held(image: "Query", max_bytes: int) -> "bytes | InMemory":
    """Return the query's image; a path is read into bytes."""
    from spocdb.images.regular import read_bytes

    if not isinstance(image, str | os.PathLike):
        return image
    path = checks.file("image", image)
    try:
        return read_bytes(path, max_bytes)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc


@contextmanager
def _named(image: "Query") -> Iterator[None]:
    """Prefix an error about the image with its path, if the query is a path."""
    try:
        yield
    except (UnreadableImage, ImageTooLarge) as exc:
        if not isinstance(image, str | os.PathLike):
            raise
        raise type(exc)(f"{os.fspath(image)}: {exc}") from exc
