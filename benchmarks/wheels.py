"""Download the wheels that spocdb needs besides torch, for a machine without a network.

From the repository's root: python -m benchmarks.wheels FOLDER [--python 3.12]
`make wheels` runs it. On the other machine `make bench-gpu WHEELS=FOLDER` installs from the folder
and uses the torch of that machine.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
THERE_ALREADY = ("torch", "torchvision")
# For building spocdb and running its tests.
BESIDE = ("setuptools>=77", "wheel", "pytest")


def main() -> None:
    """Download wheels for Linux."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wheels")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="the other machine's version")
    arguments = parser.parse_args()
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in (28, 17)]
    target = ["--only-binary", ":all:", "--python-version", arguments.python]
    for platform in (*platforms, "manylinux2014_x86_64"):
        target += ["--platform", platform]
    command = [sys.executable, "-m", "pip", "download", "--dest", str(arguments.folder), *target]
    subprocess.run([*command, *requirements()], check=True)


def requirements() -> list[str]:
    """Return spocdb's requirements without those that the other machine has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {name: re.split(r"[^\w.-]", name)[0] for name in project["dependencies"]}
    return [*(n for n, name in names.items() if name not in THERE_ALREADY), *BESIDE]


if __name__ == "__main__":
    main()
