"""The table and plot of docs/explanation/quality.md, measured with `spocdb.evaluation`.

From the repository's root:
    python -m benchmarks.quality HOLIDAYS --train FOLDER --weights FILE [--extractor NAME]
It replaces the table and docs/pictures/quality.png, and writes a record.
"""

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import record
from spocdb.api import Database, connect
from spocdb.db import embedded
from spocdb.evaluation import holidays
from spocdb.evaluation.evaluate import evaluate, train_images
from spocdb.evaluation.methods import BEYOND, PAPER, Method
from spocdb.evaluation.options import Options
from spocdb.evaluation.plots import draw_quality
from spocdb.evaluation.results import Result
from spocdb.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
TABLE = re.compile(r"(<!-- quality -->\n).*?(<!-- end -->)", re.DOTALL)
DIMS = (32, 64, 128, 256, 512)
SHOWN_DIM, BASE = 256, "spoc"
FIELDS = ("embedding", "dim", "fitted_on", "measure", "exact", "by_index")
DRAWN = {*(method.name for method in PAPER), "best"}
HEADER = (
    "| method | raw | PCA 256 | whitened 256 | against spoc | fitted on the gallery "
    "| image | query |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def main() -> None:
    """Measure every method on Holidays; write table, plots and record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality")
    parser.add_argument("holidays", type=Path, help="the images of Holidays")
    parser.add_argument("--train", required=True, help="other images, for PCA and codebooks")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--extractor", default="squeezenet1_1")
    parser.add_argument("--folder", type=Path, help="keep the database here, for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spocdb-quality-") as name:
        folder = arguments.folder or Path(name)
        try:
            with connect(settings=Settings(None, folder, folder / "cache")) as db:
                results = measure(db, arguments)
        finally:
            embedded.stop(folder)
    page = DOCS / "explanation" / "quality.md"
    rows = HEADER + "".join(_row(m, results) for m in (*PAPER, *BEYOND))
    page.write_text(TABLE.sub(lambda found: found[1] + rows + found[2], page.read_text()))
    draw_quality([r for r in results if r.method in DRAWN], DOCS / "pictures" / "quality.png")
    print(rows)
    print(f"recorded in {record.write(_by_method(results), '-quality')}")


def measure(db: Database, arguments: argparse.Namespace) -> list[Result]:
    """Return the results of all methods, with the network in float32."""
    options = Options(
        train_images(db, arguments.train),
        DIMS,
        arguments.extractor,
        arguments.weights,
        precision="float32",
    )
    return evaluate(db, holidays.read(arguments.holidays), [*PAPER, *BEYOND], options)


def _row(method: Method, results: Sequence[Result]) -> str:
    own, base = _by_setting(results, method.name), _by_setting(results, BASE)
    raw = next((r for key, r in own.items() if key[0] == "raw"), None)
    held_out = ("whitened", SHOWN_DIM, "train")
    gain = own[held_out].exact - base[held_out].exact
    image, query = (own[held_out].costs[c] / base[held_out].costs[c] for c in ("image", "query"))
    cells = (
        f"`{method.name}`: {method.what}",
        f"{raw.exact:.3f}" if raw else "",
        f"{own['pca', SHOWN_DIM, 'train'].exact:.3f}",
        f"**{own[held_out].exact:.3f}**",
        f"{gain:+.3f}" if method.name != BASE else "",
        f"{own['whitened', SHOWN_DIM, 'gallery'].exact:.3f}",
        f"{image:.1f} x",
        f"{query:.1f} x",
    )
    return f"| {' | '.join(cells)} |\n"


def _by_setting(results: Sequence[Result], method: str) -> dict[tuple[str, int, str], Result]:
    return {(r.embedding, r.dim, r.fitted_on): r for r in results if r.method == method}


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
