"""JPEGs -> a network's input, decoded on the device: nvJPEG's batches on CUDA.

JPEGs that the device cannot decode are left to the CPU. Pixels differ from Pillow's in rounding and
in the upsampling of the colour channels; the extractor checks that descriptors agree.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spocdb.images.geometry import fitted_size
from spocdb.records import Jpeg, Recipe

# Decoded photographs in the device's memory at a time.
DECODED_AT_ONCE = 32

# EXIF orientation -> whether height and width are swapped, and the axes that are mirrored then.
_TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (2,)),
    3: (False, (1, 2)),
    4: (False, (1,)),
    5: (True, ()),
    6: (True, (2,)),
    7: (True, (1, 2)),
    8: (True, (1,)),
}


def decode_on(device: torch.device, jpegs: Sequence[Jpeg], recipe: Recipe) -> list[Tensor | None]:
    """Decode and fit JPEGs to uint8 (H, W, 3) on the device; None for those it cannot decode."""
    fitted = []
    for begin in range(0, len(jpegs), DECODED_AT_ONCE):
        some = jpegs[begin : begin + DECODED_AT_ONCE]
        encoded = [torch.from_numpy(np.frombuffer(j.data, np.uint8).copy()) for j in some]
        decoded = _decoded(encoded, device)
        fitted += [_fitted(image, j, recipe) for image, j in zip(decoded, some, strict=True)]
    return fitted


def _decoded(encoded: list[Tensor], device: torch.device) -> list[Tensor | None]:
    """Decode to (3, H, W) each; a batch that fails is halved until the bad image is alone."""
    # Imported here: the import takes a second, and only a GPU decodes.
    from torchvision import io

    if not encoded:
        return []
    if device.type == "cuda":
        # nvJPEG's own stream does not wait for this one, which may still use the memory that
        # nvJPEG gets.
        torch.cuda.current_stream(device).synchronize()
    try:
        return list(io.decode_jpeg(encoded, io.ImageReadMode.RGB, device))
    # AttributeError: torchvision plans to move its decoders to torchcodec.
    except (RuntimeError, AttributeError):
        if len(encoded) == 1:
            return [None]
    middle = len(encoded) // 2
    return _decoded(encoded[:middle], device) + _decoded(encoded[middle:], device)


def _fitted(image: Tensor | None, jpeg: Jpeg, recipe: Recipe) -> Tensor | None:
    if image is None:
        return None
    transposed, mirrored = _TURNS.get(jpeg.orientation, (False, ()))
    width, height = fitted_size(jpeg.width, jpeg.height, recipe.size, recipe.fit)
    try:
        upright = (image.transpose(1, 2) if transposed else image).flip(mirrored)
        if upright.shape[1:] != (jpeg.height, jpeg.width):
            return None
        resized = functional.interpolate(
            upright[None].float(), (height, width), mode=recipe.interpolation, antialias=True
        )
    except RuntimeError:
        # The image shrinks by more than the device's filter supports, or does not fit its memory.
        return None
    pixels = resized[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    return _padded(pixels, recipe) if recipe.fit == "pad" else pixels


def _padded(pixels: Tensor, recipe: Recipe) -> Tensor:
    (height, width), size = pixels.shape[:2], recipe.size
    colour = torch.tensor(recipe.canvas.padding, dtype=torch.uint8, device=pixels.device)
    square = colour.repeat(size, size, 1)
    y, x = (size - height) // 2, (size - width) // 2
    square[y : y + height, x : x + width] = pixels
    return square
