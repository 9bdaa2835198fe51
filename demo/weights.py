"""Weights for the demo's network, SqueezeNet 1.1: 5 MB, and random ones where there is no way."""

import socket
from pathlib import Path

import torch
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

NEIGHBOUR = Path("../shared/weights/squeezenet1_1_imagenet_features.pth")


def find_weights(folder: Path) -> Path:
    """Return a neighbouring file, else torchvision's download, else random weights in `folder`."""
    if NEIGHBOUR.is_file():
        print(f"weights: {NEIGHBOUR}")
        return NEIGHBOUR
    try:
        return _download()
    except (OSError, RuntimeError) as error:
        print(f"weights: RANDOM, so only colours and textures are matched; no download: {error}")
        return _invent(folder / "random.pth")


def _download() -> Path:
    socket.setdefaulttimeout(20)
    url = SqueezeNet1_1_Weights.IMAGENET1K_V1.url
    torch.hub.load_state_dict_from_url(url, progress=False, check_hash=True)
    print(f"weights: {url}")
    return Path(torch.hub.get_dir(), "checkpoints", Path(url).name)


def _invent(path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return path
