"""The memory for decoding is computed from the header: never below the measured, nor far above."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spocdb.images.footprint import FIXED, footprint

WIDTH, HEIGHT = 2400, 1600
SIZE = 64

# A fork for each file, from a process that has decoded nothing: peak memory never shrinks.
MEASURE = """
import json, os, re, sys
from pathlib import Path
from spocdb.images.decode import decode

def memory(what):
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

grown = {}
for file in sorted(Path(sys.argv[1]).iterdir()):
    there, here = os.pipe()
    if os.fork() == 0:
        data = file.read_bytes()
        before = memory("VmRSS")
        decode(data, int(sys.argv[2]), "warp", 10**9)
        os.write(here, str(memory("VmHWM") - before).encode())
        os._exit(0)
    os.wait()
    grown[file.name] = int(os.read(there, 100))
print(json.dumps(grown))
"""


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a picture of each kind whose decoder needs memory of its own."""
    folder = tmp_path_factory.mktemp("kinds")
    grey = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    rgb = Image.merge("RGB", (grey, grey.transpose(Image.Transpose.ROTATE_180), grey))
    rgba = Image.merge("RGBA", (*rgb.split(), grey))
    palette = grey.convert("P")
    deep = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    real = Image.fromarray(np.asarray(grey, np.float32))
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "plain.jpg": (rgb, {}),
        "progressive.jpg": (rgb, {"progressive": True, "subsampling": 0}),
        "turned.jpg": (rgb, {"exif": turned()}),
        "grey.png": (grey, {"compress_level": 1}),
        "rgb.png": (rgb, {"compress_level": 1}),
        "rgba.png": (rgba, {"compress_level": 1}),
        "turned.png": (rgb, {"compress_level": 1, "exif": turned()}),
        "transparent.png": (palette, {"compress_level": 1, "transparency": 3}),
        "deep.png": (deep, {"compress_level": 1}),
        "lossy.webp": (rgb, {"method": 0}),
        "lossless.webp": (rgba, {"method": 0, "lossless": True, "quality": 0}),
        "palette.gif": (palette, {}),
        "rgb.bmp": (rgb, {}),
        "rgb.avif": (rgb, {"speed": 10}),
        "rgba.avif": (rgba, {"speed": 10}),
        "rgb.tif": (rgb, {}),
        "lzw.tif": (rgb, {"compression": "tiff_lzw"}),
        "cmyk.tif": (rgb.convert("CMYK"), {}),
        "deep.tif": (deep, {}),
        "real.tif": (real, {}),
    }
    for name, (picture, options) in kinds.items():
        picture.save(folder / name, **options)
    return {name: folder / name for name in kinds}


def test_each_kind_takes_what_is_said(files: dict[str, Path]) -> None:
    folder = files["rgb.png"].parent
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, folder, str(SIZE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    said = {name: footprint(file.read_bytes(), SIZE, "warp") for name, file in files.items()}
    too_little = {name: (measured[name], n) for name, n in said.items() if n < measured[name]}
    too_much = {
        name: (measured[name], n) for name, n in said.items() if n > 4 * measured[name] + FIXED
    }
    assert (too_little, too_much) == ({}, {})


def test_a_photograph_that_is_scaled_while_it_is_decoded_takes_little(
    files: dict[str, Path],
) -> None:
    data = files["plain.jpg"].read_bytes()
    assert footprint(data, SIZE, "warp") < FIXED + WIDTH * HEIGHT
    assert footprint(data, WIDTH, "warp") > FIXED + 8 * WIDTH * HEIGHT
    # Pillow holds all coefficients of a progressive JPEG, also when it is scaled down.
    held = footprint(files["progressive.jpg"].read_bytes(), SIZE, "warp")
    assert held > FIXED + 6 * WIDTH * HEIGHT


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:20], lambda data: b"text"])
def test_what_is_no_image_takes_nothing(
    files: dict[str, Path], spoil: Callable[[bytes], bytes]
) -> None:
    assert footprint(spoil(files["rgb.png"].read_bytes()), SIZE, "warp") == 0
