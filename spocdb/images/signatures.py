"""Signatures: 64 bits of a picture that its re-encoded, resized and brightened copies share.

The perceptual hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
2010, as the library ImageHash computes its `phash`: the signs of the lowest frequencies of a small
grey picture against their median. A test compares the two.
"""

import numpy as np
from PIL import Image

from spocdb.records import Float64Array, Signature

# Another way to compute them is another version: signatures of two versions are never compared.
VERSION = 1
# The grey picture's side, and how many of the lowest frequencies of a side count.
SIDE, LOWEST = 32, 8
# A picture whose luminance deviates less from its mean has no structure: its bits would be noise.
FLAT = 2.0
# Pictures agree if at most so many bits differ. Of the 499,500 pairs of 1,000 different photographs
# the nearest differ in 12; copies of a quarter of the size and grey ones mostly in fewer.
AGREE = 10


def _cosines() -> Float64Array:
    """Return the lowest rows of the matrix of the discrete cosine transform, type II."""
    frequencies, places = np.arange(LOWEST)[:, None], np.arange(SIDE)
    return np.cos(np.pi * frequencies * (2 * places + 1) / (2 * SIDE))


COSINES = _cosines()


def signature(picture: Image.Image) -> Signature:
    """Return the signature of an upright picture in sRGB, of any size."""
    grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(grey, np.float64)
    if pixels.std() < FLAT:
        return Signature(None, VERSION)
    lowest = COSINES @ pixels @ COSINES.T
    bits = np.packbits(lowest > np.median(lowest))
    return Signature(int.from_bytes(bits.tobytes(), signed=True), VERSION)
