"""Synthetic photographs for the benchmark, with the detail of real ones."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, N_DIFFERENT = 1024, 768, 8
QUALITY = 90


def write_photographs(folder: Path, n: int) -> list[Path]:
    """Write `n` JPEGs of 1024 x 768 pixels, whose bytes all differ."""
    made = [photograph(seed) for seed in range(min(n, N_DIFFERENT))]
    files = [folder / f"{i:05}.jpg" for i in range(n)]
    for i, file in enumerate(files):
        file.write_bytes(_commented(made[i % len(made)], i.to_bytes(4, "big")))
    return files


def photograph(seed: int) -> bytes:
    """Return a JPEG of smooth colours and grain; the grain costs decoding time as in real ones."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    pixels = smooth + rng.normal(0, 8, (HEIGHT, WIDTH, 1))
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _commented(jpeg: bytes, comment: bytes) -> bytes:
    """Return a JPEG with a comment: the same pixels, other bytes. A GPU can still decode it."""
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
