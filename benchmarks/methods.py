"""The comparison of methods in docs/explanation/quality.md, measured with `spocdb.evaluation`.

From the repository's root:
    python -m benchmarks.methods HOLIDAYS --train FOLDER --weights FILE [--extractor NAME]
It writes a record, and replaces the table. The best recipe of each network: see networks.py.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.table import DOCS, replaced
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation import holidays
from spocdb.evaluation.evaluate import evaluate, train_images
from spocdb.evaluation.methods import BEST, BEYOND, PAPER, Method
from spocdb.evaluation.options import Options
from spocdb.evaluation.results import Result
from spocdb.settings import Settings

# Suffix of the records.
COMPARISON = "-methods"
PAGE = DOCS / "explanation" / "quality.md"
COMPARED = [method for method in (*PAPER, *BEYOND) if method is not BEST]
DIMS = (32, 64, 128, 256, 512)
SHOWN_DIM, BASE = 256, "spoc"
FIELDS = ("embedding", "dim", "fitted_on", "measure", "exact", "by_index")
HEADER = (
    "| method | raw | PCA 256 | whitened 256 | against spoc | fitted on the gallery "
    "| image | query |\n"
    "|---|---|---|---|---|---|---|---|\n"
)

Figures = Mapping[str, Any]


def main() -> None:
    """Measure every method on Holidays; write record and table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods")
    parser.add_argument("holidays", type=Path, help="the images of Holidays")
    parser.add_argument("--train", required=True, help="other images, for PCA and codebooks")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--extractor", default="squeezenet1_1")
    parser.add_argument("--folder", type=Path, help="keep the database here, for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-methods-") as name:
        folder = arguments.folder or Path(name)
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                results = measure(db, arguments)
        finally:
            embedded.stop(folder)
    print(f"recorded in {record.write(_by_method(results), COMPARISON)}")
    rows = table(record.latest(COMPARISON)["figures"])
    PAGE.write_text(replaced(PAGE.read_text(), "methods", rows))
    print(rows)


def table(measured: Sequence[Figures]) -> str:
    """Return the table of the methods that a record has."""
    by_name = {each["method"]: each for each in measured}
    rows = [_row(m, by_name[m.name], by_name[BASE]) for m in COMPARED if m.name in by_name]
    return HEADER + "".join(rows)


def measure(db: Database, arguments: argparse.Namespace) -> list[Result]:
    """Return the results of all methods, with the network in float32."""
    options = Options(
        train_images(db, arguments.train),
        DIMS,
        arguments.extractor,
        arguments.weights,
        precision="float32",
    )
    return evaluate(db, holidays.read(arguments.holidays), COMPARED, options)


def _row(method: Method, measured: Figures, base: Figures) -> str:
    own, other = _by_setting(measured), _by_setting(base)
    raw = next((figure for setting, figure in own.items() if setting[0] == "raw"), None)
    held_out = ("whitened", SHOWN_DIM, "train")
    gain = own[held_out]["exact"] - other[held_out]["exact"]
    image = measured["image_ms"] / base["image_ms"]
    query = own[held_out]["query_ms"] / other[held_out]["query_ms"]
    cells = (
        f"`{method.name}`: {method.what}",
        f"{raw['exact']:.3f}" if raw else "",
        f"{own['pca', SHOWN_DIM, 'train']['exact']:.3f}",
        f"**{own[held_out]['exact']:.3f}**",
        f"{gain:+.3f}" if measured is not base else "",
        f"{own['whitened', SHOWN_DIM, 'gallery']['exact']:.3f}",
        f"{image:.1f} x",
        f"{query:.1f} x",
    )
    return f"| {' | '.join(cells)} |\n"


def _by_setting(measured: Figures) -> dict[tuple[str, int, str], Figures]:
    return {(f["embedding"], f["dim"], f["fitted_on"]): f for f in measured["figures"]}


def _by_method(results: Sequence[Result]) -> list[dict[str, object]]:
    told = []
    for name in dict.fromkeys(r.method for r in results):
        own = [r for r in results if r.method == name]
        first = own[0]
        figures = [
            {field: getattr(r, field) for field in FIELDS} | {"query_ms": r.costs["query"]}
            for r in own
        ]
        about = {"recipe": first.recipe, "search": first.search, "image_ms": first.costs["image"]}
        told.append({"method": name, **about, "dataset": first.dataset, "figures": figures})
    return told


if __name__ == "__main__":
    main()
