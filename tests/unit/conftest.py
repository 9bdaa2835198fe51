"""What several files of unit tests use."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.fixtures.foreign import Scripted


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    """Return a function that saves a module as TorchScript."""

    def save(module: nn.Module) -> Path:
        file = tmp_path / f"{type(module).__name__}.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            torch.jit.save(torch.jit.script(module), file)
        return file

    return save
