"""Calibration: how near near-duplicates of a collection are, measured without labels.

some pictures -> variants -> embeddings
-> distances from their pictures: right; from all other contents: wrong, unless these are copies
-> the largest distances with the wanted precision -> stored with the projection
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from spocdb import checks
from spocdb.comparison import ITSELF, Compared, compared
from spocdb.db import collections, images, projections, thresholds, thumbnails
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.thumbnails import Content
from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.evidence import differing, own_variants, taken_for_copies, to_review
from spocdb.images.signatures import AGREE, VERSION
from spocdb.images.variants import VARIANTS
from spocdb.records import Level
from spocdb.thresholds import (
    Calibration,
    Found,
    Rule,
    VariantRecall,
    agreeing_bits,
    curve,
    fewest_pictures,
    precision,
    threshold,
)
from spocdb.variation import Varied
from spocdb.wording import counted

# Returns a context manager that yields a connection.
Connections = Callable[[], AbstractContextManager[Connection]]

MOST_IMAGES = 10_000
BELOW_ONE = math.nextafter(1, 0)
# The distance of the same scene has at most this precision, over copies of all kinds.
SCENE_PRECISION = 0.9
# Images of the collection for each dimension of a whitening that was fitted on them. Measured with
# `mini` and 4 for each: of 0.99 of precision 0.96 to 1 were left among other images.
ENOUGH_EACH = 10
KINDS: list[tuple[str, Level]] = [
    *((variant.name, variant.level) for variant in VARIANTS),
    ("decided to be the same", "picture"),
]
PICTURES = [number for number, (_, level) in enumerate(KINDS) if level == "picture"]
# What is kept with the thresholds.
KEPT = ("n_images", "precision", "copies", "seed", "found_precision", "recall", "n_taken")


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """How to calibrate.

    `images` pictures are varied, chosen by `seed`. `precision` is wanted, 0.5 to below 1, if there
    are as many copies of each picture as `copies` says.

    Raises:
        InvalidValue: a number is out of range.
    """

    images: int = 200
    precision: float = 0.99
    copies: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        precision = checks.number("precision", self.precision, 0.5, BELOW_ONE, "0.5 to below 1")
        copies = checks.number("copies", self.copies, 1e-6, 100, "0.000001 to 100")
        bound = f"{self.fewest:,} to {MOST_IMAGES:,} for this precision"
        images = checks.whole("images", self.images, self.fewest, MOST_IMAGES, bound)
        seed = checks.whole("seed", self.seed, -(2**63), bound="a 64-bit number")
        # Numbers of NumPy become Python's, because they are stored as JSON.
        plain = {"precision": precision, "copies": copies, "images": images, "seed": seed}
        for name, number in plain.items():
            object.__setattr__(self, name, number)

    @property
    def fewest(self) -> int:
        """Return how many pictures the precision takes."""
        return fewest_pictures(self.precision, self.copies)


def sampled(
    connection: Connection, collection: Collection, options: CalibrationOptions
) -> list[Content]:
    """Return the contents to vary, and as many more for those that cannot be read.

    Raises:
        RightMissing: The role may not store thresholds.
        NotEnoughSamples: There are too few contents.
    """
    thresholds.check_rights(connection)
    _check_enough(images.count_contents(connection, collection), "are there", options)
    return thresholds.sample(connection, collection, 2 * options.images, options.seed)


def caveat(connection: Connection, collection: Collection) -> str | None:
    """Return why images that come later may be nearer to each other than is measured, or None."""
    fitted = projections.get(connection, collection.active_projection_id)
    is_own = collection.name in fitted.fitted_on.get("collections", ())
    is_whitened = fitted.kind != "raw" and fitted.settings.get("whiten", True)
    n_images = fitted.n_samples
    if not is_own or not is_whitened or n_images >= ENOUGH_EACH * fitted.dim:
        return None
    return (
        f"projection {fitted.id} was fitted on {counted(n_images, 'image')} of this collection: "
        "others that come later are nearer to each other than these, so calibrate again when there "
        f"are many, or fit {fitted.dim} dimensions on {ENOUGH_EACH * fitted.dim:,} images or more"
    )


def calibrate(
    connections: Connections,
    collection: Collection,
    made: Varied,
    sign: Callable[[Sequence[Content]], object],
    options: CalibrationOptions,
) -> Calibration:
    """Measure how near copies and other contents are, and store the thresholds.

    `sign` makes and stores the signatures of contents that have none, where it can.

    Raises:
        NotEnoughSamples: Too few images could be read.
        ConfigError: The collection was changed meanwhile.
    """
    _check_enough(len(made.contents), "can be read", options)
    with connections() as connection, db_search.snapshot(connection):
        if collections.get(connection, collection.name) != collection:
            raise ConfigError(f"collection {collection.name} was changed meanwhile: try again")
        found = compared(connection, collection, made)
    with connections() as connection:
        unsigned = thumbnails.unsigned(connection, found.candidates, VERSION)
    sign(unsigned)
    with connections() as connection:
        hashes = [bytes.fromhex(content.sha256) for content in found.candidates]
        signatures = thumbnails.signatures(connection, hashes, VERSION)
        measured = _measured(collection, found, signatures, options)
        if measured.picture is not None and measured.scene is not None:
            rule = Rule(measured.picture, measured.scene, measured.bits)
            settings = {name: getattr(measured, name) for name in KEPT}
            thresholds.store(connection, collection, rule, settings)
    return measured


def _check_enough(n: int, what: str, options: CalibrationOptions) -> None:
    if n < options.fewest:
        raise NotEnoughSamples(
            f"precision {options.precision:g} takes {options.fewest:,} different images or more, "
            f"and {n:,} {what}: ask for less, such as `precision=0.9`",
            bound=options.fewest,
        )


def _measured(
    collection: Collection,
    found: Compared,
    signatures: dict[bytes, int | None],
    options: CalibrationOptions,
) -> Calibration:
    """Return the thresholds and figures of what was compared."""
    known = {sha256.hex(): bits for sha256, bits in signatures.items()}
    bits = differing(found, known)
    taken = taken_for_copies(found, bits)
    pairs = zip(found.pictures.tolist(), found.others.tolist(), strict=True)
    is_wrong = np.array([pair not in taken for pair in pairs], bool) & (found.variants != ITSELF)
    wrong = Found(found.distances[is_wrong], bits[is_wrong], found.variants[is_wrong])
    own = own_variants(found, known)
    rule = _rule(own, wrong, found.limit, options)
    measured = Calibration(
        collection=collection.name,
        projection=collection.active_projection_id,
        n_images=len(found.made.contents),
        precision=options.precision,
        copies=options.copies,
        seed=options.seed,
        n_taken=len(taken),
        curve=curve(own, wrong, PICTURES, found.limit, options.copies),
        nearest=to_review(found, bits),
    )
    return measured if rule is None else _with_rule(measured, rule, own, wrong)


def _with_rule(measured: Calibration, rule: Rule, own: Found, wrong: Found) -> Calibration:
    """Return a calibration with its thresholds, and what they find."""
    right = own.of(PICTURES).within(rule)
    n_wrong = int(wrong.of(PICTURES).within(rule).sum())
    return replace(
        measured,
        picture=rule.picture,
        scene=rule.scene,
        bits=rule.bits,
        found_precision=precision(int(right.sum()), n_wrong, measured.copies),
        recall=float(right.mean()),
        variants=_by_variant(own, rule),
    )


def _rule(own: Found, wrong: Found, limit: float, options: CalibrationOptions) -> Rule | None:
    """Return the rule with the wanted precision; None if no distance has it."""
    copies, distances = options.copies, own.distances <= limit
    near = Found(own.distances[distances], own.bits[distances], own.variants[distances])
    of_picture, wrong_of_picture = near.of(PICTURES), wrong.of(PICTURES)
    # One more picture of which every variant has a wrong neighbour.
    picture = threshold(
        *(of_picture.distances, wrong_of_picture.distances, options.precision, copies),
        margin=len(PICTURES) - 1,
    )
    if picture is None:
        return None
    least = min(options.precision, SCENE_PRECISION)
    scene = threshold(near.distances, wrong.distances, least, copies, margin=len(VARIANTS))
    farthest = max(picture, scene or 0.0)
    bits = agreeing_bits(
        of_picture, wrong_of_picture, picture, farthest, options.precision, copies, AGREE
    )
    return Rule(picture, farthest, bits)


def _by_variant(own: Found, rule: Rule) -> list[VariantRecall]:
    """Return how many copies of each kind are found."""
    alone, in_all = own.distances <= rule.picture, own.within(rule)
    return [
        VariantRecall(
            name,
            level,
            float(alone[those].mean()),
            float(in_all[those].mean()),
            float((own.distances[those] <= rule.scene).mean()),
        )
        for number, (name, level) in enumerate(KINDS)
        if (those := own.variants == number).any()
    ]
