"""Extractors in the API: their recipes, networks and codebooks."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from spocdb import checks
from spocdb.api.part import Part
from spocdb.db import collections
from spocdb.db.collections import ExtractorSummary
from spocdb.errors import ConfigError
from spocdb.recipe_options import RecipeOptions
from spocdb.records import Recipe

if TYPE_CHECKING:
    from spocdb.features.codebooks import Kind
    from spocdb.features.extractor import Extractor
    from spocdb.features.precision import Precision

log = logging.getLogger(__name__)


class Extractors(Part):
    """Methods of Database about extractors."""

    def extractors(self) -> list[ExtractorSummary]:
        """List the extractors that the database knows, by name."""
        with self._engine.connection() as connection:
            return collections.extractor_summaries(connection)

    def recipe(
        self,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        **recipe: Unpack[RecipeOptions],
    ) -> Recipe:
        """Return the recipe that `ingest` with these options would use for a new collection.

        Args:
            extractor: a preset, a network such as `onnx:FILE` or `timm:NAME`, or the name of an
                extractor that the database knows.
            weights: the network's weights; by default the preset's own.
            **recipe: options on top of the preset, see `ingest`.

        Raises:
            ConfigError: an option is unknown, out of range, or contradicts the extractor.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        """
        from spocdb.choosing import choose
        from spocdb.features.selection import Wanted

        with self._engine.connection() as connection:
            wanted = Wanted(extractor, path_of("weights", weights), recipe)
            return choose(connection, wanted, None, self._engine.settings.cache_dir).recipe

    def extractor(
        self,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        **recipe: Unpack[RecipeOptions],
    ) -> "Extractor":
        """Load the network that `ingest` with these options would use, at most once per engine.

        Args:
            extractor: a preset, a network such as `onnx:FILE` or `timm:NAME`, or the name of an
                extractor that the database knows.
            weights: the network's weights; by default the preset's own.
            device: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            **recipe: options on top of the preset, see `ingest`.

        Raises:
            ConfigError: an option is unknown or out of range, or there is no such device.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        """
        found = self.recipe(extractor, weights, **recipe)
        return self._engine.extractor(found, device, precision)

    def learn_codebook(
        self,
        folder: str | os.PathLike[str],
        file: str | os.PathLike[str],
        kind: "Kind" = "fisher",
        k: int = 16,
        *,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: "Precision" = "auto",
        **recipe: Unpack[RecipeOptions],
    ) -> int:
        """Learn a codebook from the images of a folder into a file.

        Args:
            folder: where the images are, also in folders below it.
            file: the .safetensors file to write.
            kind: fisher or triangulation.
            k: how many centres.
            extractor: a preset, a network such as `onnx:FILE` or `timm:NAME`, or the name of an
                extractor that the database knows.
            weights: the network's weights; by default the preset's own.
            device: auto, cpu, cuda, cuda:1 or mps.
            precision: auto, float32 or bfloat16.
            **recipe: options on top of the preset, see `ingest`.

        Returns:
            The number of images that it was learned from.

        Raises:
            ConfigError: there are no images, or the file cannot be written.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        """
        from spocdb import codebooks, outfiles

        path = checks.file("file", file)
        outfiles.check(path, (".safetensors",))
        files = _images_under(folder)
        network = self.extractor(extractor, weights, device, precision, **recipe)
        return codebooks.learn_into(path, network, kind, k, files, self._engine.settings)

    def quantize(
        self,
        folder: str | os.PathLike[str],
        file: str | os.PathLike[str],
        *,
        extractor: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        **recipe: Unpack[RecipeOptions],
    ) -> int:
        """Round a network to 8-bit integers, into a file that is an extractor: `int8:FILE`.

        Args:
            folder: pictures to choose the steps of the integers by, also in folders below it.
            file: the .safetensors file to write.
            extractor: a preset that is a plain stack of convolutions: mini, vgg16 or vgg19; or the
                name of an extractor of one of them that the database knows.
            weights: the network's weights; by default the preset's own.
            **recipe: options on top of the preset, see `ingest`; the file keeps them.

        Returns:
            The number of pictures that the steps were chosen by.

        Raises:
            ConfigError: there are no images, the network is no such stack, or the file cannot be
                written.
            NotEnoughSamples: no picture can be read.
            WeightsNotFound: the weights are not on this machine and cannot be downloaded.
        """
        from spocdb import outfiles, quantizing
        from spocdb.features.weights import locate

        path = checks.file("file", file)
        outfiles.check(path, (".safetensors",))
        files = _images_under(folder)
        found = self.recipe(extractor, weights, **recipe)
        there = locate(found, self._engine.settings.cache_dir)
        return quantizing.quantize_into(path, found, there, files, self._engine.settings)


def _images_under(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the images in a folder and below it; log what is left out.

    Raises:
        ConfigError: There are none.
    """
    from spocdb.sources import kinds
    from spocdb.sources.walking import walk

    left_out = kinds.LeftOut()
    walked = walk([checks.file("folder", folder)], recursive=True, left_out=left_out)
    found = [Path(file) for file in walked]
    if told := kinds.told(left_out):
        log.warning("left out: %s", told)
    if not found:
        raise ConfigError(f"there are no images under {folder}")
    return found


def path_of(field: str, given: str | os.PathLike[str] | None) -> Path | None:
    """Return an optional file as a Path."""
    return None if given is None else checks.file(field, given)
