"""Variants of a collection's pictures, embedded as new images are: read, changed, described."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spocdb.db.thumbnails import Content
from spocdb.errors import ImageError
from spocdb.images.decode import decode, upright
from spocdb.images.footprint import footprint
from spocdb.images.variants import VARIANTS, bounded
from spocdb.pipeline.budget import of_process
from spocdb.pipeline.prefetch import prefetch, threads
from spocdb.records import Decoded, Float32Array, Recipe
from spocdb.settings import Limits
from spocdb.wording import counted

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor

log = logging.getLogger(__name__)

Read = Callable[[Content], bytes]
OnDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Varied:
    """Pictures and the variants of each, in the order of VARIANTS.

    `raw` (n, V, C) are the variants' descriptors; `signatures` has V of each picture, None where
    there is none.
    """

    contents: list[Content]
    raw: Float32Array
    signatures: list[list[int | None]]


def varied(
    contents: Sequence[Content],
    n: int,
    read: Read,
    extractor: "Extractor",
    limits: Limits,
    seed: int,
    on_done: OnDone,
) -> Varied:
    """Return the variants of the first n contents that can be read.

    A warning gives the number of the others, and the first reason.
    """
    found, raw, signatures = list[Content](), list[Float32Array](), list[list[int | None]]()
    unreadable: list[str] = []
    wanted = min(n, len(contents))
    for content, made in _made(contents, read, extractor.recipe, limits, seed):
        if isinstance(made, str):
            unreadable.append(made)
            continue
        found.append(content)
        raw.append(extractor.extract([one.pixels for one in made]))
        signatures.append([one.small.signature.bits if one.small else None for one in made])
        on_done(len(found), wanted)
        if len(found) == n:
            break
    if unreadable:
        many = counted(len(unreadable), "image")
        log.warning("left out: %s that cannot be read, such as %s", many, unreadable[0])
    nothing = np.empty((0, len(VARIANTS), extractor.dim), np.float32)
    return Varied(found, np.stack(raw) if raw else nothing, signatures)


def _made(
    contents: Sequence[Content], read: Read, recipe: Recipe, limits: Limits, seed: int
) -> Iterator[tuple[Content, list[Decoded] | str]]:
    """Yield each content with its variants, or why it cannot be read; some are made ahead."""

    def make(content: Content) -> tuple[Content, list[Decoded] | str]:
        try:
            return content, _variants(read(content), content.sha256, recipe, limits, seed)
        except ImageError as error:
            return content, f"image {content.id}: {error}"

    with threads(limits.threads, "vary") as pool:
        yield from prefetch(pool, make, contents, 2 * limits.threads)


def _variants(data: bytes, name: str, recipe: Recipe, limits: Limits, seed: int) -> list[Decoded]:
    """Return an image's variants as they would be decoded from files.

    Raises:
        ImageError: It cannot be decoded.
    """
    with of_process(limits.memory).lent(footprint(data, None)):
        picture = bounded(upright(data, limits.max_pixels, recipe.background))
    files = (variant.made(picture, f"{seed} {name}") for variant in VARIANTS)
    most = 4 * picture.width * picture.height + 2**16
    return [
        decode(file, recipe.size, recipe.fit, most, recipe.canvas, with_thumbnail=True)
        for file in files
    ]
