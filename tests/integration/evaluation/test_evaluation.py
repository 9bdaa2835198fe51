"""An evaluation changes nothing that was stored, and skips methods that cannot be measured."""

import json
import pickle
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spocdb.errors import ConfigError, NotEnoughSamples
from spocdb.evaluation import holidays, pairs, revisited
from spocdb.evaluation.best import best_of
from spocdb.evaluation.evaluate import evaluate, train_images
from spocdb.evaluation.methods import METHODS, find_methods
from spocdb.evaluation.options import Options
from spocdb.evaluation.plans import plan
from spocdb.training.matching import Views
from spocdb.training.projecting import whiten
from tests.fixtures.opened import Database
from tests.integration.evaluation.line import SIDE

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Draw = Callable[..., Path]


def test_copies_in_the_gallery_are_said_and_left_out(
    db: Database, draw: Draw, tmp_path: Path, options: dict[str, Any], said: list[str]
) -> None:
    folder = draw("mine", query=0, right=0.3, wrong=0.1)
    for name in ("query", "right"):
        for n in range(3):
            (folder / f"{name}-copy{n}.png").write_bytes((folder / f"{name}.png").read_bytes())
    file = tmp_path / "pairs.csv"
    file.write_text("query,match\nmine/query.png,mine/right.png\n")
    said.clear()
    train = [folder / "wrong.png", folder / "right-copy0.png"]
    plain = find_methods(["recipe"])
    given = Options(train, **options | {"dims": (1,)})
    found = evaluate(db, pairs.read(file, folder), plain, given)
    # Only images with other bytes are ranked: a wrong one, then the right one.
    assert (found[0].measure, found[0].exact, found[0].by_index) == ("mAP", 0.25, 0.25)
    assert any(
        line.startswith(
            "pairs: byte-identical copies of a query or of a right answer, left out of its "
            f"ranking: 6 ({folder / 'query-copy0.png'}, "
        )
        for line in said
    )
    assert (
        "2 of the gallery's 3 images are in `train=...` too, byte for byte: "
        "a PCA of the gallery itself overfits" in said
    )


def test_figures_are_shown_drawn_and_stored(
    spocdb: Run, holidays_folder: Path, random_weights: Path, make_photos: Any, tmp_path: Path
) -> None:
    ran = spocdb(
        "eval",
        "holidays",
        holidays_folder,
        *("--train", make_photos(12), "--method", "spoc,max", "--dim", "2,4"),
        *("--extractor", "squeezenet1_1", "--weights", random_weights, "--size", "64"),
        *("--plot", tmp_path / "quality.png", "--worst", tmp_path / "worst.png", "--save"),
    )
    assert ran.returncode == 0, ran.stderr
    heading, header, *rows = ran.stdout.splitlines()
    assert heading == "holidays mAP, exact and by the HNSW index"
    assert header.split() == ["method", "embedding", "raw", "2", "4", "ms/image", "ms/query"]
    assert [row.split("  ")[0] for row in rows if row] == ["spoc"] * 4 + ["max"] * 4
    assert "4 of the official 1491 images and 2 of 500 queries" in ran.stderr
    for name in ("quality.png", "worst.png"):
        with Image.open(tmp_path / name) as drawn:
            assert drawn.width > 600 and len(drawn.getcolors(2**24) or ()) > 50
    stored = json.loads(spocdb("eval", "list", "--json").stdout)
    # Four images span three dimensions, so 4 on the gallery itself is skipped with a message.
    assert len(stored) == 2 * (1 + 2 + 2 + 1)
    assert "whitened 4 on the gallery" in ran.stderr
    assert {s["recipe"]["pooling"] for s in stored} == {"sum", "max"}
    assert {s["projection"]["n_samples"] for s in stored} == {0, 4, 12}
    listed = spocdb("eval", "list", "--benchmark", "holidays").stdout.splitlines()
    assert len(listed) == 1 + len(stored)
    assert spocdb("eval", "list", "--benchmark", "oxford").stdout.count("\n") == 1


def test_projections_of_the_database_are_measured_too(
    db: Database,
    spocdb: Run,
    holidays_folder: Path,
    random_weights: Path,
    make_photos: Any,
) -> None:
    recipe: dict[str, Any] = {"extractor": "squeezenet1_1", "weights": random_weights, "size": 64}
    db.ingest(make_photos(12), **recipe, auto_pca=0)
    numbers = [db.pca.fit(dim=4), whiten(db, Views(2), dim=3)]
    line: list[object] = ["eval", "holidays", holidays_folder, "--dim", 2]
    line += [
        "--extractor",
        "squeezenet1_1",
        "--weights",
        random_weights,
        "--projection",
        ",".join(map(str, numbers)),
    ]
    ran = spocdb(*line, "--size", 64, "--json", "--save")
    assert ran.returncode == 0, ran.stderr
    given = [r for r in json.loads(ran.stdout) if r["fitted_on"] == "given"]
    assert [(r["embedding"], r["dim"]) for r in given] == [("whitened", 4), ("discriminative", 3)]
    assert [r["projection"]["number"] for r in given] == numbers
    assert given[1]["projection"]["views"] == 2
    assert {p.id for p in db.pca.list()} >= {*numbers}, "they stay"
    table = spocdb(*line, "--size", 64).stdout
    assert f"projection {numbers[1]}: discriminative whitening" in table
    other = spocdb(*line, "--size", 96)
    assert f"projection {numbers[0]} is of squeezenet1_1-" in other.stderr
    assert "projection" not in other.stdout
    ran = spocdb(*line[:-1], 99)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "there is no projection 99" in ran.stderr


@pytest.mark.slow
def test_every_method_runs_and_leaves_nothing_but_raw_descriptors(
    db: Database, holidays_folder: Path, make_photos: Any, options: dict[str, Any], said: list[str]
) -> None:
    folder = make_photos(30)
    (folder / "notes.txt").write_text("notes")
    train = train_images(db, str(folder))
    assert said == [f"left out of `train=...` {folder}: 1 .txt"]
    said.clear()
    methods = find_methods(["all", "beyond", "recipe"])
    assert {m.name for m in methods} == METHODS.keys()
    # Small feature maps give too few features for 256 Gaussians.
    few = [m for m in methods if m.name != "fisher-256"]
    found = evaluate(db, holidays.read(holidays_folder), few, Options(train, **options))
    whitened = [r for r in found if (r.embedding, r.fitted_on) == ("whitened", "train")]
    assert {r.method for r in whitened} == {m.name for m in few}
    assert all(0 < r.exact <= 1 for r in whitened)
    assert {r.method: r.by_index for r in whitened} == pytest.approx(
        {r.method: r.exact for r in whitened}
    )
    recipes = {r.method: r.recipe for r in whitened}
    best = best_of("squeezenet1_1")
    given = {"size": int(64 * best.enlarge), **best.recipe}
    expected = db.recipe("squeezenet1_1", options["weights"], **given)
    assert recipes["best"] == asdict(expected)
    assert recipes["fisher-16"]["codebook_dim"] == 16 * 65
    assert recipes["rerank"] == recipes["spoc"] == recipes["recipe"]
    searches = {r.method: r.search for r in whitened}
    assert searches["aqe"]["expand"] == 3
    assert searches["augmented"]["augmentation"] == {"neighbours": 5, "alpha": 3.0}
    assert next(r for r in whitened if r.method == "shrinkage").projection["regularisation"] == 0.1

    assert db.collections() == []
    assert {p.kind for p in db.pca.list()} == {"raw"}
    tables = db.connection.execute(
        "SELECT count(*) FROM pg_class WHERE relname LIKE 'embeddings\\_%'"
    ).fetchone()
    assert tables == (0,)
    # The next run has nothing to extract.
    said.clear()
    spoc = find_methods(["spoc"])
    again = evaluate(db, holidays.read(holidays_folder), spoc, Options(train, **options))
    assert "spoc: 4 gallery images, 0 through the network" in said
    assert [r.exact for r in again] == [r.exact for r in found if r.method == "spoc"]


def test_the_best_method_is_that_of_the_network(
    db: Database, holidays_folder: Path, random_weights: Path
) -> None:
    benchmark = holidays.read(holidays_folder)
    (best,) = find_methods(["best"])
    lite = plan(db, benchmark, best, Options(extractor="efficientnet_lite0"))
    assert lite.method == best_of("efficientnet_lite0") != best
    assert (lite.chosen.recipe.pooling, lite.method.regularisation) == ("rmac", 1.0)
    # Nothing is known of this network: its plain recipe is the best.
    given = Options(extractor="mobilenet_v3_large", weights=random_weights)
    unknown = plan(db, benchmark, best, given)
    assert unknown.method is best
    assert unknown.chosen.recipe == db.recipe("mobilenet_v3_large", random_weights)


def test_methods_that_differ_only_in_pooling_see_each_image_once(
    db: Database, holidays_folder: Path, make_photos: Any, options: dict[str, Any], said: list[str]
) -> None:
    broken = holidays_folder / "100200.png"
    broken.write_bytes(b"broken")
    methods = find_methods(["spoc", "max", "triangulation-1", "flip"])
    given = Options([*make_photos(8).iterdir()], **options)
    benchmark = holidays.read(holidays_folder)
    alone = [r for method in methods for r in evaluate(db, benchmark, [method], given)]
    db.connection.execute("DELETE FROM spocdb.descriptors")
    said.clear()
    together = evaluate(db, benchmark, methods, given)
    (shared,) = [line for line in said if line.endswith("once for all of them")]
    assert shared.count("squeezenet1_1-") == 3 and ": 13 images, 12 through the network" in shared
    seen = {line for line in said if "gallery images" in line}
    assert seen == {
        "spoc: 5 gallery images, 0 through the network",
        "max: 5 gallery images, 0 through the network",
        "triangulation-1: 5 gallery images, 0 through the network",
        "flip: 5 gallery images, 4 through the network",
    }
    assert said.count("max: 1 gallery image could not be read") == 1
    figures, expected = (
        {(r.method, r.embedding, r.dim, r.fitted_on): r.exact for r in results}
        for results in (together, alone)
    )
    assert figures == pytest.approx(expected)


def test_what_a_collection_was_made_with_survives_an_evaluation(
    db: Database, holidays_folder: Path, make_photos: Any, options: dict[str, Any]
) -> None:
    """A user's projection that equals the evaluation's is kept."""
    photos = make_photos(12)
    db.ingest(photos, collection="mine", auto_pca=0, precision="float32", **_ingest(options))
    number = db.pca.fit("mine", dim=2)
    db.pca.activate(number, "mine")
    before = db.similar(1, collection="mine")
    train = train_images(db, "mine")
    assert [p.name for p in train] == sorted(p.name for p in photos.iterdir())
    plain = find_methods(["recipe"])
    found = evaluate(db, holidays.read(holidays_folder), plain, Options(train, **options))
    assert len(found) == 4
    assert [c.name for c in db.collections()] == ["mine"]
    assert number in {p.id for p in db.pca.list()}
    assert db.similar(1, collection="mine") == before


def _ingest(options: dict[str, Any]) -> dict[str, Any]:
    return {"extractor": options["extractor"], "weights": options["weights"], "size": 64}


def test_an_image_that_cannot_be_read_is_said_and_left_out(
    db: Database, holidays_folder: Path, options: dict[str, Any], said: list[str]
) -> None:
    (holidays_folder / "100101.png").write_bytes(b"broken")
    said.clear()
    plain = find_methods(["recipe"])
    found = evaluate(db, holidays.read(holidays_folder), plain, Options(**options))
    # Only 100000 has a partner left, the second of two.
    assert found[0].exact == pytest.approx(1 / 4)
    assert "holidays: 1 image not readable: 100101" in said
    assert "recipe: 1 gallery image could not be read" in said
    assert "no `train=...`: PCA is fitted on the gallery itself, which overfits" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("holidays", "NOWHERE"), "no such folder"),
        (("holidays", "PHOTOS"), "no image of Holidays in"),
        (("holidays", "HOLIDAYS", "--method", "best,magic"), "unknown method 'magic'"),
        (("holidays", "HOLIDAYS", "--train", "nothing"), "neither a folder nor a collection"),
        (("holidays", "HOLIDAYS", "--plot", "plot.txt"), "the name must end in .png"),
        (("oxford", "PHOTOS", "--gt", "PHOTOS"), "no ground truth in"),
        (("holidays", "HOLIDAYS", "--train", "EMPTY"), "has no images"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    spocdb: Run,
    holidays_folder: Path,
    make_photos: Any,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "HOLIDAYS": holidays_folder,
        "PHOTOS": make_photos(2),
        "NOWHERE": tmp_path / "no",
        "EMPTY": tmp_path / "empty",
    }
    ran = spocdb("eval", *(places.get(a, a) for a in arguments))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert message in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


def test_a_method_that_cannot_be_measured_costs_the_others_nothing(
    db: Database, holidays_folder: Path, options: dict[str, Any], said: list[str]
) -> None:
    methods = find_methods(["spoc", "fisher-256"])
    found = evaluate(db, holidays.read(holidays_folder), methods, Options(**options))
    assert {r.method for r in found} == {"spoc"}
    assert any(
        line.startswith("fisher-256: not measured: ") and "too few for 256 centres" in line
        for line in said
    )
    with pytest.raises(NotEnoughSamples):
        evaluate(db, holidays.read(holidays_folder), methods[1:], Options(**options))
    augmented = find_methods(["augmented"])
    with pytest.raises(ConfigError, match="nothing could be measured"):
        evaluate(
            db, holidays.read(holidays_folder), augmented, Options(**options | {"dims": (256,)})
        )


def test_what_others_fit_during_an_evaluation_stays(
    db: Database, holidays_folder: Path, make_photos: Any, options: dict[str, Any], hear: Any
) -> None:
    db.ingest(make_photos(12), collection="mine", auto_pca=0, **_ingest(options))
    numbers: list[int] = []

    def fit(line: str) -> None:
        if "gallery images" in line:
            numbers.append(db.pca.fit("mine", dim=3))

    plain = find_methods(["recipe"])
    hear(fit)
    evaluate(db, holidays.read(holidays_folder), plain, Options(**options))
    assert {p.id for p in db.pca.list() if p.kind == "pca"} == set(numbers) != set()


def test_a_query_that_cannot_be_read_is_said_and_left_out(
    db: Database, draw: Draw, tmp_path: Path, options: dict[str, Any], said: list[str]
) -> None:
    folder = draw("revisited", a=0.05, b=0.15, q=0, r=0)
    (folder / "r.png").write_bytes(b"broken")
    entry = {"bbx": [0, 0, SIDE, SIDE], "easy": [0], "hard": [], "junk": []}
    truth = {"imlist": ["a", "b"], "qimlist": ["q", "r"], "gnd": [entry, entry]}
    file = tmp_path / "gnd_roxford5k.pkl"
    file.write_bytes(pickle.dumps(truth))
    said.clear()
    found = evaluate(
        db,
        revisited.read(folder, file),
        find_methods(["recipe"]),
        Options(**options | {"dims": (1,)}),
    )
    assert found[0].exact == 1.0
    assert found[0].dataset["queries"] == {"easy": 1, "medium": 1, "hard": 0}
    assert any(line.startswith("roxford5k: query r is left out: ") for line in said)


def test_an_interrupted_evaluation_drops_its_collections(
    db: Database, holidays_folder: Path, options: dict[str, Any], hear: Any
) -> None:
    def interrupt(line: str) -> None:
        if "through the network" in line:
            raise KeyboardInterrupt

    plain = find_methods(["recipe"])
    hear(interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(db, holidays.read(holidays_folder), plain, Options(**options))
    assert db.collections() == []
    with pytest.raises(ConfigError, match="nothing is neither a folder nor a collection"):
        train_images(db, "nothing")
