"""Train the packaged network `mini` with the original `spocdb train distill` commands.

From the repository's root:
    python -m benchmarks.mini FOLDER... --squeezenet FILE --mobilenet FILE
The teachers are SqueezeNet 1.1, as torchvision saves it, and MobileNet v1 in the layout of
hollance/Forge (`conv1`, `dw.2_1`, `sep.2_1`, ...; batch norm folded in). The result replaces
spocdb/features/mini.safetensors and docs/pictures/mini.png. It takes three and a half hours on one
core for 7,500 images; after an interruption the same command continues.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from spocdb.features.backbones.mobilenet import network
from spocdb.recipe_options import IMAGENET_MEAN, IMAGENET_STD

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("spocdb")
WEIGHTS = ROOT / "spocdb" / "features" / "mini.safetensors"
PLOT = ROOT / "docs" / "pictures" / "mini.png"

# The settings of the packaged weights: training starts from SqueezeNet's weights, and twice again
# from its result, each time with more views.
COMMON = ("--size", "224", "--sigma", "0.5", "--batch-size", "32", "--held-out", "0.05")
STAGES = (
    ("--views", "3", "--epochs", "10", "--learning-rate", "1e-3"),
    ("--views", "6", "--epochs", "12", "--learning-rate", "7e-4"),
    ("--views", "10", "--epochs", "12", "--learning-rate", "7e-4"),
)
SQUEEZENET = "squeezenet1_1,size=352,pooling=gem,gem_p=2,sigma=0.5"
MOBILENET = "mobilenet_v1,size=256"

# The Forge's names of the separable convolutions.
FORGE_BLOCKS = [f"{stage}_{n}" for stage in (2, 3, 4, 5) for n in range(1, 7 if stage == 5 else 3)]
# The Forge's input is (RGB - mean) * scale, in units of 0-255.
FORGE_MEAN, FORGE_SCALE = (123.68, 116.78, 103.94), 0.017


def main() -> None:
    """Convert the MobileNet teacher, then run the commands."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mini")
    parser.add_argument("folders", nargs="+", type=Path, help="images to learn on")
    parser.add_argument("--squeezenet", type=Path, required=True)
    parser.add_argument("--mobilenet", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="to work in")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    converted = arguments.folder / "mobilenet.pth"
    forge = torch.load(arguments.mobilenet, map_location="cpu", weights_only=True)
    torch.save(from_forge(forge), converted)
    teachers = (
        *("--teacher", f"{MOBILENET},weights={converted}"),
        *("--teacher", f"{SQUEEZENET},weights={arguments.squeezenet}"),
    )
    weights = arguments.squeezenet
    for number, settings in enumerate(STAGES, 1):
        out = arguments.folder / f"mini-{number}.safetensors"
        if not out.exists():
            learn = ("--out", out, *teachers, "--start", weights, *COMMON, *settings)
            run("train", "distill", *arguments.folders, *learn, "--plot", PLOT)
        weights = out
    weights.replace(WEIGHTS)


def run(*arguments: object) -> None:
    """Run spocdb, showing the command."""
    command = [str(PROGRAM), *map(str, arguments)]
    print(f"$ {shlex.join(command)}", flush=True)
    subprocess.run(command, check=True)


def from_forge(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the Forge's weights under spocdb's names, for input normalised as in torchvision.

    The two normalisations differ by a factor and an offset for each colour, which are folded into
    the first convolution.
    """
    theirs = ["conv1", *(f"{part}.{block}" for block in FORGE_BLOCKS for part in ("dw", "sep"))]
    ours = [name for name, module in network().named_modules() if isinstance(module, nn.Conv2d)]
    converted = {
        f"{name}.{kind}": state[f"{other}.{kind}"].clone()
        for name, other in zip(ours, theirs, strict=True)
        for kind in ("weight", "bias")
    }
    first = converted[f"{ours[0]}.weight"]
    offset = FORGE_SCALE * (torch.tensor(IMAGENET_MEAN) - torch.tensor(FORGE_MEAN))
    converted[f"{ours[0]}.bias"] += (first.sum(dim=(2, 3)) * offset).sum(dim=1)
    scale = FORGE_SCALE * torch.tensor(IMAGENET_STD)
    converted[f"{ours[0]}.weight"] = first * scale.view(1, 3, 1, 1)
    return converted


if __name__ == "__main__":
    main()
