"""What people wait for at the command line: whole processes, in turns, beside `import torch`.

From the repository's root, against another installation too, such as that of an older commit:
    python -m benchmarks.starting [--turns N] [--files N] [--other PROGRAM]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from benchmarks import data, record
from benchmarks.record import Figure
from spocdb.db import embedded

PROGRAM = Path(sys.executable).with_name("spocdb")
TORCH, OTHER = "import torch", "the other program"
COLLECTION = "started"

# Returns the arguments of the program for one turn.
Ask = Callable[[], Sequence[str]]


def run(
    environment: Mapping[str, str],
    folder: Path,
    turns: int,
    n_files: int,
    other: Path | None = None,
) -> list[Figure]:
    """Measure medians of `turns` processes each, on the database that `environment` names.

    `n_files` unchanged files are those of an ingest of nothing new.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SPOCDB_")} | {**environment}
    # As where it is installed: modules are compiled once, here by the turn that is not counted.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    env = kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    asked = _asked(env, folder, n_files)
    programs = [PROGRAM, *([other] if other else [])]
    seconds: dict[tuple[str, Path | None], list[float]] = {}
    for _ in range(1 + turns):
        took = _timed([sys.executable, "-c", "import torch"], env)
        seconds.setdefault((TORCH, None), []).append(took)
        for name, ask in asked.items():
            for program in programs:
                took = _timed([str(program), *ask()], env)
                seconds.setdefault((name, program), []).append(took)
    medians = {key: statistics.median(each[1:]) for key, each in seconds.items()}
    return [*_figures(medians, asked, n_files, other)]


def _figures(
    medians: Mapping[tuple[str, Path | None], float],
    asked: Mapping[str, Ask],
    n_files: int,
    other: Path | None,
) -> Iterator[Figure]:
    torch = medians[TORCH, None]
    yield Figure("start, import torch", torch, "s")
    for name in asked:
        note = f"{n_files:,} files" if "nothing new" in name else ""
        took = medians[name, PROGRAM]
        yield Figure(f"start, {name}", took, "s", torch, TORCH, note)
        if other:
            yield Figure(f"start, {name}, beside", took, "s", medians[name, other], OTHER, note)


def _asked(env: Mapping[str, str], folder: Path, n_files: int) -> dict[str, Ask]:
    """Store photographs and make what is asked; each new picture is another one."""
    stored, unchanged, fresh = folder / "stored", folder / "unchanged", folder / "fresh"
    pictures = sorted(data.make_photographs(stored, 12).iterdir())
    unchanged.mkdir()
    fresh.mkdir()
    for number in range(n_files):
        # The same bytes under other names, which an ingest looks at one by one.
        os.link(pictures[0], unchanged / f"{number:06d}.jpg")
    for given in (stored, unchanged):
        _output(_ingest(given), env)
    numbers = count()

    def one_new() -> Sequence[str]:
        name = fresh / f"{next(numbers)}.jpg"
        # Bytes after the picture's end make it another content.
        name.write_bytes(pictures[1].read_bytes() + os.urandom(16))
        return _ingest(fresh)

    # The database may have other collections, whose images have the first ids.
    listed = _output(["images", "list", "-n", "1", "--json", "-c", COLLECTION], env)
    (image,) = json.loads(listed)
    return {
        "search --id": lambda: ["search", "--id", str(image["id"]), "-c", COLLECTION],
        "search picture.jpg": lambda: ["search", str(pictures[2]), "-c", COLLECTION],
        "ingest of nothing new": lambda: _ingest(unchanged),
        "ingest of a new picture": one_new,
    }


def _ingest(folder: Path) -> Sequence[str]:
    return ["ingest", str(folder), "-c", COLLECTION, "--extractor", "mini", "-q"]


def _output(arguments: Sequence[str], env: Mapping[str, str]) -> str:
    return subprocess.run(
        [PROGRAM, *arguments], env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _timed(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Return how long a process takes, from its start to its end; its errors are shown."""
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure on a new embedded server, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starting")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--other", type=Path, help="another spocdb to run in turns with this one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root the server runs as another user
        try:
            record.show(
                run(variables(folder), folder, arguments.turns, arguments.files, arguments.other)
            )
        finally:
            embedded.stop(folder)


def variables(data_dir: Path) -> dict[str, str]:
    """Return the variables that name the embedded server of a folder."""
    return {"SPOCDB_DATA_DIR": str(data_dir), "SPOCDB_CACHE_DIR": str(data_dir / "cache")}


if __name__ == "__main__":
    main()
