"""Pictures on a line between two pictures, so that their distances have a known order."""

import numpy as np
from PIL import Image

SIDE = 96


def picture(t: float) -> Image.Image:
    """Return the picture at `t`, 0 to 1, on the line."""
    rng = np.random.default_rng(0)
    ends = [Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)) for _ in range(2)]
    big = [end.resize((SIDE, SIDE), Image.Resampling.BICUBIC) for end in ends]
    return Image.blend(big[0], big[1], t)
