"""Fetch what spocdb needs beside torch, for a machine without a network: make wheels.

From the repository's root: python -m benchmarks.wheels FOLDER [--python 3.12]
There, `make bench-gpu WHEELS=FOLDER` installs from it beside the torch that the machine has.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
THERE_ALREADY = ("torch", "torchvision")
# To build spocdb itself, and to run its tests.
BESIDE = ("setuptools>=77", "wheel", "pytest")


def main() -> None:
    """Fetch wheels for Linux."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wheels")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="the version over there")
    arguments = parser.parse_args()
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in (28, 17)]
    target = ["--only-binary", ":all:", "--python-version", arguments.python]
    for platform in (*platforms, "manylinux2014_x86_64"):
        target += ["--platform", platform]
    command = [sys.executable, "-m", "pip", "download", "--dest", str(arguments.folder), *target]
    subprocess.run([*command, *requirements()], check=True)


def requirements() -> list[str]:
    """Return what spocdb requires, without what the other machine has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {name: re.split(r"[^\w.-]", name)[0] for name in project["dependencies"]}
    return [*(n for n, name in names.items() if name not in THERE_ALREADY), *BESIDE]


if __name__ == "__main__":
    main()
