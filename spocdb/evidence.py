"""Which pairs that a calibration compared are right, and which are evidence of wrong ones.

Other contents whose signature agrees with the picture's are taken for copies, unless a person
decided that they are different; contents that were decided to be the same are copies.
"""

import numpy as np

from spocdb.comparison import ITSELF, Compared
from spocdb.images.signatures import AGREE
from spocdb.images.variants import VARIANTS
from spocdb.neighbours import Int64Array
from spocdb.thresholds import Found, NearPair

# Differing bits where a signature is unknown.
UNKNOWN = 99
# The nearest pairs that a person is asked to look at.
REVIEWED = 20


def own_variants(found: Compared, known: dict[str, int | None]) -> Found:
    """Return the variants with their pictures, and pairs that were decided to be the same."""
    bits = [
        _bits(signature, known.get(content.sha256))
        for content, signatures in zip(found.made.contents, found.made.signatures, strict=True)
        for signature in signatures
    ]
    n_pictures, n_same = len(found.made.contents), len(found.same)
    variants = [*range(len(VARIANTS))] * n_pictures + [len(VARIANTS)] * n_same
    return Found(
        np.concatenate([found.own.ravel(), found.same]),
        np.array(bits + [UNKNOWN] * n_same, np.int64),
        np.array(variants, np.int64),
    )


def differing(found: Compared, known: dict[str, int | None]) -> Int64Array:
    """Return for each pair with another content by how many bits the signatures differ."""
    own = [known.get(content.sha256) for content in found.made.contents]
    others = [known.get(content.sha256) for content in found.contents]
    rows = (found.pictures.tolist(), found.variants.tolist(), found.others.tolist())
    bits = [
        _bits(
            own[picture] if variant == ITSELF else found.made.signatures[picture][variant],
            others[other],
        )
        for picture, variant, other in zip(*rows, strict=True)
    ]
    return np.array(bits, np.int64)


def _bits(one: int | None, other: int | None) -> int:
    """Return by how many bits two signatures differ; UNKNOWN if there are no two."""
    if one is None or other is None:
        return UNKNOWN
    return ((one ^ other) & (2**64 - 1)).bit_count()


def _verdicts(found: Compared) -> dict[frozenset[str], str]:
    return {frozenset((pair.a.hex(), pair.b.hex())): pair.verdict for pair in found.decided}


def taken_for_copies(found: Compared, bits: Int64Array) -> set[tuple[int, int]]:
    """Return the pictures and other contents, by number, that are no evidence of wrong pairs.

    Their signatures agree, or they were decided to be anything but different.
    """
    taken = set[tuple[int, int]]()
    verdicts = _verdicts(found)
    for row, (picture, other) in enumerate(
        zip(found.pictures.tolist(), found.others.tolist(), strict=True)
    ):
        pair = frozenset((found.made.contents[picture].sha256, found.contents[other].sha256))
        agree = found.variants[row] == ITSELF and bits[row] <= AGREE
        if verdicts.get(pair, "same" if agree else "different") != "different":
            taken.add((picture, other))
    return taken


def to_review(found: Compared, bits: Int64Array) -> list[NearPair]:
    """Return the nearest pairs of different contents that nobody has decided about."""
    verdicts, pairs = _verdicts(found), dict[frozenset[str], NearPair]()
    for row in np.flatnonzero(found.variants == ITSELF).tolist():
        one = found.made.contents[int(found.pictures[row])]
        other = found.contents[int(found.others[row])]
        pair = frozenset((one.sha256, other.sha256))
        if pair not in verdicts and pair not in pairs:
            facts = (float(found.distances[row]), bool(bits[row] <= AGREE))
            pairs[pair] = NearPair(one.id, one.path, other.id, other.path, *facts)
        if len(pairs) == REVIEWED:
            break
    return [*pairs.values()]
