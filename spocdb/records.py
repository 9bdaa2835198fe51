"""The small frozen records that the parts of spocdb exchange."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from spocdb import checks
from spocdb.errors import ConfigError, ImageError
from spocdb.recipe_options import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RGB,
    Attention,
    Background,
    Fit,
    Interpolation,
    Pooling,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    UInt8Array = NDArray[np.uint8]
    Float32Array = NDArray[np.float32]
    Float64Array = NDArray[np.float64]
else:
    # Records and signatures name these types; a command that computes nothing loads no NumPy.
    UInt8Array = Float32Array = Float64Array = Any

# The keys of metadata that come from EXIF; an image whose EXIF was read has all of EXIF_ALWAYS.
EXIF_ALWAYS = ("width", "height", "orientation")
EXIF_KEYS = (
    *EXIF_ALWAYS,
    *("taken_at", "camera", "lens", "iso", "f_number", "exposure", "focal_length"),
    *("latitude", "longitude", "altitude"),
)


@dataclass(frozen=True, slots=True)
class Canvas:
    """How an image is drawn into a network's input, apart from size and fit.

    `interpolation` is how it is resized, `background` the colour behind transparent pixels,
    `padding` the colour beside an image that is padded to a square: zero once it is normalised.

    Raises:
        ConfigError: This version of spocdb does not know the interpolation or the background.
    """

    interpolation: Interpolation = "bilinear"
    background: Background = "white"
    padding: tuple[int, int, int] = (124, 116, 104)

    def __post_init__(self) -> None:
        for name, known in (("interpolation", Interpolation), ("background", Background)):
            if (value := getattr(self, name)) not in get_args(known):
                raise ConfigError(f"this recipe has an unknown {name}, {value!r}: upgrade spocdb")


# For pictures that are shown, not described.
PLAIN = Canvas()


@dataclass(frozen=True, slots=True)
class Recipe:
    """An extractor's immutable recipe: all that decides which raw descriptor an image gets.

    `weights` is the sha256 (hex) of the weights file. `size` is in pixels, the side of the warped
    or padded square, or the longer side where the aspect is kept. `sigma` is the centering prior's
    standard deviation as a fraction of the distance from the centre to the nearest border (None: no
    prior); `gem_p` is GeM's exponent (None unless pooling is "gem"). `interpolation` is how images
    are resized, `background` the colour behind transparent pixels.

    The fields with a default were added later. The network sees the image at each of `scales`, as
    fractions of `size`, and with `flip` also its mirror image; the views are pooled, normalised and
    summed. `attention` weighs the positions by the feature map itself. `codebook` is the sha256
    (hex) of the file for pooling by Fisher vectors or triangulation, `codebook_dim` the dimensions
    of the result. Pixels are normalised by `mean` and `std` (red, green, blue, in units of 0-255).

    A network that spocdb does not declare, such as a file's, is described by its recipe, so that a
    machine without the file knows it: `channels` of its feature map; `sizes`, the smallest and
    largest allowed size and the step between them, None if any will do; `leading_tokens`, how many
    of its tokens come before those of the map, None if it gives no tokens.
    """

    backbone: str
    weights: str
    layer: str
    relu: bool
    size: int
    fit: Fit
    ceil_mode: bool
    pooling: Pooling
    sigma: float | None
    gem_p: float | None
    interpolation: Interpolation
    background: Background
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    attention: Attention | None = None
    codebook: str | None = None
    codebook_dim: int | None = None
    mean: RGB = IMAGENET_MEAN
    std: RGB = IMAGENET_STD
    channels: int | None = None
    sizes: tuple[int, int, int] | None = None
    leading_tokens: int | None = None

    def __post_init__(self) -> None:
        # Recipes are stored as JSON, which has lists for tuples.
        for name in ("scales", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.sizes is not None:
            object.__setattr__(self, "sizes", tuple(self.sizes))

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the recipe's canonical JSON; equal recipes have equal ones.

        Fields at their default are left out, so that a new field does not change older
        fingerprints.
        """
        values = ((f.name, getattr(self, f.name), f.default) for f in fields(self))
        told = {name: value for name, value, default in values if value != default}
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Return the extractor's name: the backbone and eight digits of the fingerprint."""
        return f"{self.backbone}-{self.fingerprint[:8]}"

    @property
    def centering(self) -> bool:
        """Return whether there is a centering prior."""
        return self.sigma is not None

    @property
    def canvas(self) -> Canvas:
        """Return how images are drawn into the network's input.

        Raises:
            ConfigError: A newer version of spocdb made the recipe, and this one does not know its
                values.
        """
        red, green, blue = (round(value) for value in self.mean)
        return Canvas(self.interpolation, self.background, (red, green, blue))

    @property
    def n_views(self) -> int:
        """Return how many times the network sees each image."""
        return len(self.scales) * (1 + self.flip)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files of the given folders are read, see `walk`, and which column of Parquet files."""

    recursive: bool = True
    all_files: bool = False
    follow_links: bool = False
    image_column: str | None = None


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True)
class ImageRef:
    """The name of an image in its source, and the facts known before it is read.

    `name` is its path, URL or key, as the database stores it. `version` is an opaque text of the
    source; while it is equal, the bytes are too. `size` is in bytes, None if unknown. If `sha256`
    is set, bytes with another hash are refused. `problem` is the error, if it is already known that
    the image cannot be read.
    """

    name: str
    version: str = ""
    size: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)
    sha256: bytes | None = field(default=None, compare=False)
    problem: ImageError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a container of this name and version was found to hold when it was listed to its end.

    `left_out` counts what is no image, by extension or kind. Without a version it is listed each
    time.
    """

    name: str
    version: str = ""
    n_images: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


# What near-duplicates have in common.
Level = Literal["bytes", "picture", "scene"]


@dataclass(frozen=True, slots=True)
class Signature:
    """64 bits that copies of a picture share, as a signed number; None: it has no structure.

    Only signatures of one version are compared.
    """

    bits: int | None
    version: int


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """What is stored of a picture itself: its thumbnail, a WebP file, and its signature."""

    webp: bytes
    signature: Signature


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image ready for a network: uint8 RGB pixels (H, W, 3), and its original upright size.

    `small` was made if it was asked for.
    """

    pixels: UInt8Array
    width: int
    height: int
    small: SmallPicture | None = None


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A whole JPEG, RGB or grey, for a GPU to decode: EXIF's orientation, and its upright size."""

    data: bytes
    orientation: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class NewDescriptor:
    """A raw descriptor (C,) just computed, and the upright size of its image in pixels.

    `small` was made of the same picture, if at all.
    """

    width: int
    height: int
    descriptor: Float32Array
    small: SmallPicture | None = None


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in pixels of the upright image (after the EXIF turn).

    Raises:
        InvalidValue: a number is no integer.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            checks.whole(name, getattr(self, name), -checks.MOST, bound="a whole number of pixels")


@dataclass(frozen=True, slots=True)
class Refinement:
    """Query expansion and re-ranking of a search; the default is neither.

    `expand` is the number of neighbours that are added to the query, each weighted by its
    similarity to the power of `alpha` (0: the plain average); `rerank` is the length of the short
    list that is re-ranked by k-reciprocal neighbours.
    """

    expand: int = 0
    alpha: float = 3.0
    rerank: int = 0


# How a projection was made: not at all, by PCA, by discriminative whitening, as a linear head.
ProjectionKind = Literal["raw", "pca", "discriminative", "head"]


@dataclass(frozen=True, slots=True)
class Projection:
    """A fitted linear map from raw descriptors (C) to embeddings (N).

    embedding = L2((raw - mean) @ components.T * scale). `mean` (C,) float32; `components` (N, C)
    float32, unit rows; `scale` (N,) float64, the whitening's factors or ones; `singular_values`
    (N,) float64, of the centred sample matrix; `explained` (N,) float64, each component's part of
    the total variance. The raw projection has no rows and only normalises. The learned kinds,
    discriminative and head, have components that are not orthogonal; their singular values and
    explained parts are of the embeddings before they are normalised.
    """

    mean: Float32Array
    components: Float32Array
    scale: Float64Array
    singular_values: Float64Array
    explained: Float64Array
    n_samples: int
    settings: dict[str, Any]
    kind: ProjectionKind

    @property
    def dim(self) -> int:
        """Return the dimension of the embeddings, N."""
        return len(self.components) or len(self.mean)

    @property
    def fingerprint(self) -> str:
        """Return the sha256 (hex) of everything that determines an embedding."""
        import numpy as np

        digest = hashlib.sha256()
        if augmented := self.settings.get("augmented"):
            # An augmentation has its base's numbers but other embeddings.
            digest.update(json.dumps(augmented, sort_keys=True).encode())
        for array, kind in ((self.mean, "<f4"), (self.components, "<f4"), (self.scale, "<f8")):
            digest.update(np.ascontiguousarray(array, kind).tobytes())
        return digest.hexdigest()
