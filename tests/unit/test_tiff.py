"""TIFF: every combination of samples and layout is read as tifffile reads it, or refused."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from spocdb.errors import ImageTooLarge, UnreadableImage
from spocdb.images.decode import upright
from spocdb.records import Float64Array

HEIGHT, WIDTH = 19, 21
TILE = (16, 16)
# Compressions that every build of Pillow reads, and those of some builds.
USUAL = (None, "zlib", "lzw", "packbits")
LOSSLESS = (*USUAL, "zstd", "lzma")
# Tolerances: alpha is applied in eight bits, and JPEG rounds.
EXACT, MIXED, LOSSY = 1, 3, 60


class Kind(NamedTuple):
    """Type and bits of a sample, samples per pixel, their meaning, the kind of an extra sample."""

    dtype: str
    bits: int
    samples: int
    photometric: str
    extra: str | None = None


class Layout(NamedTuple):
    """How samples lie in the file."""

    order: Literal["<", ">"]
    bigtiff: bool
    planar: bool
    compression: str | None
    predictor: bool
    tile: tuple[int, int] | None


GREY = [
    Kind(dtype, bits, 1, photometric)
    for photometric in ("minisblack", "miniswhite")
    for dtype, bits in (
        ("bool", 1), ("u1", 2), ("u1", 4), ("u1", 8), ("u2", 10), ("u2", 12), ("u2", 16),
        ("u4", 32), ("u8", 64), ("i1", 8), ("i2", 16), ("i4", 32), ("f2", 16), ("f4", 32),
        ("f8", 64),
    )
]  # fmt: skip
EXTRAS = ("unassalpha", "assocalpha", "unspecified")
WITH_EXTRA = [
    Kind(dtype, bits, samples, photometric, extra)
    for samples, photometric in ((2, "minisblack"), (4, "rgb"))
    for dtype, bits in (("u1", 8), ("u2", 16), ("u4", 32), ("i2", 16), ("f4", 32))
    for extra in EXTRAS
]
COLOUR = [Kind(d, b, 3, "rgb") for d, b in (("u1", 8), ("u2", 16), ("u4", 32), ("f4", 32))]
INKS = [Kind("u1", 8, 4, "separated"), Kind("u2", 16, 4, "separated")]
PALETTE = [Kind("u1", 8, 1, "palette"), Kind("u2", 16, 1, "palette")]
OTHER = [Kind("u1", 8, 3, "ycbcr"), Kind("u1", 8, 3, "cielab"), Kind("u2", 16, 3, "cielab")]
# These must be read at least when little-endian, not planar and of a usual compression.
READ = {
    *(k for k in GREY if k.photometric == "minisblack" and k.bits < 64 and k.bits != 10),
    Kind("bool", 1, 1, "miniswhite"),
    *(Kind("u1", bits, 1, "miniswhite") for bits in (2, 4, 8)),
    Kind("u2", 16, 1, "miniswhite"),
    Kind("f4", 32, 1, "miniswhite"),
    *(k for k in WITH_EXTRA if k.dtype == "u1" or (k.dtype == "u2" and k.samples == 4)),
    *(k for k in COLOUR if k.dtype in ("u1", "u2")),
    *INKS,
    PALETTE[0],
    *OTHER[:2],
} - {Kind("f2", 16, 1, "minisblack")}


def layouts(kind: Kind) -> Iterator[Layout]:
    compressions = (*LOSSLESS, "jpeg") if (kind.dtype, kind.bits) == ("u1", 8) else LOSSLESS
    planes = (False, True) if kind.samples > 1 else (False,)
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for order, planar, compression, tile in itertools.product(
        orders, planes, compressions, (None, TILE)
    ):
        yield Layout(order, False, planar, compression, False, tile)
        if compression in ("zlib", "lzw"):
            yield Layout(order, False, planar, compression, True, tile)
        if compression is None:
            yield Layout(order, True, planar, compression, False, tile)


def pixels(kind: Kind) -> NDArray[Any]:
    """Return random samples over the whole range of their type; premultiplied ones below alpha."""
    parts = np.random.default_rng(0).random((HEIGHT, WIDTH, kind.samples))
    if kind.extra == "assocalpha":
        parts[..., :-1] *= parts[..., -1:]
    if kind.photometric == "cielab":
        # Only colours within sRGB.
        wrapped: NDArray[Any] = (parts * 20 + [110, 0, 0]).astype(kind.dtype)
        wrapped -= np.array([0, 10, 10], kind.dtype)
        return wrapped
    if kind.dtype == "bool":
        made = parts > 0.5
    elif kind.dtype.startswith("f"):
        made = parts.astype(kind.dtype)
    else:
        low = float(np.iinfo(kind.dtype).min)
        high = 2.0**kind.bits - 1 if low == 0 else float(np.iinfo(kind.dtype).max)
        made = (low + parts * (high - low)).astype(kind.dtype)
    return made if kind.samples > 1 else made[..., 0]


def written(kind: Kind, layout: Layout) -> bytes | None:
    """Return the file, or None if tifffile cannot write it."""
    options: dict[str, Any] = {"extrasamples": [kind.extra]} if kind.extra else {}
    if kind.dtype != "bool" and kind.bits not in (np.dtype(kind.dtype).itemsize * 8,):
        options["bitspersample"] = kind.bits
    if kind.photometric == "palette":
        options["colormap"] = colormap(kind)
    if kind.samples > 1:
        options["planarconfig"] = "separate" if layout.planar else "contig"
    stream = io.BytesIO()
    samples = pixels(kind)
    try:
        tifffile.imwrite(
            stream,
            np.moveaxis(samples, -1, 0) if layout.planar else samples,
            photometric=kind.photometric,
            byteorder=layout.order,
            bigtiff=layout.bigtiff,
            compression=layout.compression,
            predictor=layout.predictor or None,
            tile=layout.tile,
            metadata=None,
            **options,
        )
    except (ValueError, NotImplementedError):
        return None
    return stream.getvalue()


def colormap(kind: Kind) -> NDArray[np.uint16]:
    return np.random.default_rng(1).integers(0, 65536, (3, 2**kind.bits), dtype=np.uint16)


def expected(data: bytes, kind: Kind, layout: Layout) -> Float64Array:
    """Return what tifffile reads, as RGB of 0 to 255."""
    samples = tifffile.imread(io.BytesIO(data))
    samples = np.moveaxis(samples, 0, -1) if layout.planar else samples
    if kind.photometric == "palette":
        return np.moveaxis(colormap(kind)[:, samples], 0, -1) / 257
    if kind.photometric == "cielab":
        return from_lab(samples)
    if kind.photometric == "ycbcr":
        # tifffile returns JPEG's colours as RGB, others as they are stored.
        is_rgb = layout.compression == "jpeg"
        mode = "RGB" if is_rgb else "YCbCr"
        return np.asarray(Image.fromarray(samples, mode).convert("RGB"), np.float64)
    n_colours = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}[kind.photometric]
    samples = samples.reshape(HEIGHT, WIDTH, -1)
    colours = scaled(samples[..., :n_colours], kind)
    if kind.photometric == "miniswhite":
        colours = 255 - colours
    if kind.photometric == "separated":
        colours = (255 - colours[..., :3]) * (1 - colours[..., 3:] / 255)
    if kind.extra in ("unassalpha", "assocalpha"):
        alpha = scaled(samples[..., n_colours:], kind) / 255
        colours = colours * (alpha if kind.extra == "unassalpha" else 1) + 255 * (1 - alpha)
    return np.broadcast_to(colours, (HEIGHT, WIDTH, 3))


def scaled(samples: NDArray[Any], kind: Kind) -> Float64Array:
    """Scale to 0 to 255: by the type's range up to sixteen bits, else by the values' own range."""
    low, high = 0.0, 2.0**kind.bits - 1
    if samples.dtype.kind == "i" or kind.bits > 16:
        low, high = (0.0, 1.0) if samples.dtype.kind == "f" else (samples.min(), samples.max())
    return (samples.astype(np.float64) - low) * 255 / (float(high) - float(low))


def from_lab(samples: NDArray[np.uint8]) -> Float64Array:
    """CIE L*a*b* of D50 -> sRGB, by the formulas; TIFF has a* and b* signed."""
    lightness = samples[..., 0] * (100 / 255)
    a, b = (samples[..., i].astype(np.int8).astype(float) for i in (1, 2))
    f = np.stack(
        [
            (lightness + 16) / 116 + a / 500,
            (lightness + 16) / 116,
            (lightness + 16) / 116 - b / 200,
        ],
        -1,
    )
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    # XYZ of D50 to linear sRGB, with Bradford's adaptation.
    to_rgb = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = (xyz @ np.array(to_rgb).T).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(encoded * 255, np.float64)


def tolerance(kind: Kind, layout: Layout) -> int:
    if layout.compression == "jpeg":
        return LOSSY
    mixed = kind.extra or kind.photometric in ("separated", "cielab")
    return MIXED if mixed else EXACT


@pytest.mark.parametrize(
    "kind",
    [*GREY, *WITH_EXTRA, *COLOUR, *INKS, *PALETTE, *OTHER],
    ids=lambda kind: "-".join(map(str, kind)),
)
def test_a_combination_is_right_or_refused_with_a_reason(kind: Kind) -> None:
    n_read = 0
    for layout in layouts(kind):
        if (data := written(kind, layout)) is None:
            continue
        is_plain = layout.order == "<" and not layout.planar and layout.compression in USUAL
        try:
            found = np.asarray(upright(data, 10**6), np.float64)
        except UnreadableImage as error:
            assert not (kind in READ and is_plain), (layout, error)
            assert str(error).startswith("cannot decode this TIFF: ")
            assert "not supported" in str(error) or "BigTIFF" in str(error)
            continue
        n_read += 1
        difference = np.abs(found - expected(data, kind, layout)).max()
        assert difference <= tolerance(kind, layout), (layout, difference)
    assert n_read > 3 or kind not in READ


def test_a_tile_counts_as_pixels_too() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((4, 4), np.uint8), tile=(1024, 1024), compression="zlib")
    with pytest.raises(ImageTooLarge, match="1024 x 1024 pixels are over the limit of 1000000"):
        upright(stream.getvalue(), 1_000_000)


def tags_changed(changes: dict[int, int], **options: Any) -> bytes:
    """Return a TIFF of 4 x 4 pixels whose tags contradict its pixels."""
    stream = io.BytesIO()
    shape = (4, 4, 3) if options.get("photometric") else (4, 4)
    tifffile.imwrite(stream, np.zeros(shape, np.uint8), metadata=None, **options)
    data = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        for tag in file.pages[0].tags.values():  # type: ignore[union-attr]
            if tag.code in changes:
                data[tag.offset + 8 : tag.offset + 10] = changes[tag.code].to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tags_changed({259: 34712}), "compression 34712 is not supported"),
        (tags_changed({262: 3}), "the tag ColorMap is missing"),
        (tags_changed({262: 32844}), "1 x 8-bit unsigned photometric 32844 is not supported"),
        (tags_changed({262: 6}, photometric="rgb"), "subsampled colours without compression"),
        (tags_changed({258: 12}), "samples of 12 bits that are not packed are not supported"),
    ],
)
def test_reasons_say_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage) as raised:
        upright(data, 10**6)
    assert reason in str(raised.value)


def test_grey_without_a_meaning_is_black_at_zero(shared: Path) -> None:
    data = (shared / "data/torture/pillow/10ct_32bit_128.tiff").read_bytes()
    found = np.asarray(upright(data, 10**6))[..., 0]
    samples = tifffile.imread(io.BytesIO(data))
    assert np.corrcoef(found.ravel(), samples.ravel())[0, 1] > 0.99
