"""Round a network to 8-bit integers: the use case behind `spocdb quantize`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from spocdb.features.devices import find_devices
from spocdb.features.integer_files import save
from spocdb.features.network import Network
from spocdb.features.quantization import plain, quantize
from spocdb.features.runtimes import runtime_of
from spocdb.records import Recipe
from spocdb.samples import Samples, spread
from spocdb.settings import Settings

# More pictures hardly change how large the values between two layers become.
MOST_IMAGES = 64


def quantize_into(
    file: Path, recipe: Recipe, weights: Path, files: Sequence[Path], settings: Settings
) -> int:
    """Round a recipe's network by pictures, write it to a file; return the number of pictures.

    Of more than `MOST_IMAGES` files, an evenly spaced subset is used.

    Raises:
        ConfigError: The network is no plain stack of convolutions, or the file cannot be written.
        NotEnoughSamples: No file is a picture that can be read.
    """
    find_devices("cpu")  # limits torch's threads
    samples = Samples(spread(files, MOST_IMAGES), settings.max_pixels)
    # A ReLU after the last convolution is the recipe's, not the file's.
    bare = replace(recipe, relu=False)
    trunk = runtime_of(bare).load(bare, weights)
    plain(recipe, trunk)  # refuses others before any picture is read
    network = Network(bare, trunk)

    def pictures() -> Iterator[Tensor]:
        for pixels in samples.pixels(recipe):
            yield network.normalised(torch.tensor(pixels)[None])

    with samples.told(), torch.inference_mode():
        save(quantize(recipe, trunk, pictures()), file)
    return len(samples.read)
