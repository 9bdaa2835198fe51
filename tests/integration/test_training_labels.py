"""Labels for training: from metadata, from a table of clicks, and from any SELECT."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spocdb.training import labelling
from tests.fixtures.opened import Database
from tests.fixtures.stripes import finetuning

pytestmark = pytest.mark.slow

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "train.md").read_text()

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_classes_may_come_from_a_collections_metadata(
    spocdb: Run, stripes: Path, tmp_path: Path
) -> None:
    rows = [f"{file},{file.parent.name}" for file in sorted(stripes.rglob("*.png"))]
    metadata = tmp_path / "metadata.csv"
    metadata.write_text("\n".join(["path,slope", *rows]))
    ingested = spocdb("ingest", stripes, "--extractor", "mini", "--metadata", metadata)
    assert ingested.returncode == 0, ingested.stderr
    out = tmp_path / "tuned.safetensors"
    training = finetuning(stripes, out, "--collection", "photos", "--column", "slope")
    training.remove(str(stripes))
    done = spocdb(*training, "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["n_train_classes"] == 8


@pytest.fixture
def clicks(db: Database, stripes: Path) -> None:
    """Log clicks in the guide's table: three on each image of the same class, one on others."""
    db.ingest(stripes, collection="photos", extractor="mini", size=64)
    (table,) = re.findall(r"CREATE TABLE clicks .*;", GUIDE)
    db.connection.execute(table)
    db.connection.execute("""
        INSERT INTO clicks
        SELECT a.id, b.id FROM spocdb.photos a, spocdb.photos b, generate_series(1, 3)
        WHERE a.id < b.id AND substring(a.path, 'slope-.') = substring(b.path, 'slope-.')
        UNION ALL
        SELECT a.id, b.id FROM spocdb.photos a, spocdb.photos b
        WHERE a.id + 7 = b.id""")


def test_classes_may_come_from_clicks_in_a_table(
    clicks: None, spocdb: Run, stripes: Path, tmp_path: Path
) -> None:
    (clicked,) = re.findall(r'--labels-from "(.*?)"', GUIDE, re.DOTALL)
    training = finetuning(stripes, tmp_path / "tuned.safetensors", "--labels-from", clicked)
    training.remove(str(stripes))
    done = spocdb(*training, "--epochs", "1")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert (data["n_train_classes"], data["n_held_out_classes"], data["n_train"]) == (8, 2, 48)


def test_classes_may_come_from_any_select(clicks: None, db: Database, stripes: Path) -> None:
    statement = """
        SELECT path, substring(path, 'slope-(.)')::int % 5 AS label FROM spocdb.photos
        UNION ALL SELECT min(path), 7 FROM spocdb.photos
        UNION ALL SELECT '/nowhere.jpg', NULL"""
    found = labelling.by_statement(db, statement, db.settings.limits)
    assert len(found) == 59, "an image in two classes is left out"
    assert {s.label for s in found} == {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("SELECT path FROM spocdb.photos", "the statement gives path: name its columns path and"),
        ("SELECT path, 1 AS label FROM spocdb.photos", "give 1 class of two images or more"),
        ("SELECT '' AS query, '' AS match WHERE false", "give 0 classes of two images or more"),
        ("SELEKT 1", 'syntax error at or near "SELEKT"'),
        ("DELETE FROM clicks RETURNING *", "cannot execute DELETE in a read-only transaction"),
        ("SET work_mem = '1GB'", "the statement gives no rows: give a SELECT"),
        ("SELECT 1; DELETE FROM clicks", "cannot insert multiple commands"),
    ],
)
def test_a_statement_that_gives_no_classes_is_one_line(
    statement: str, line: str, clicks: None, spocdb: Run, tmp_path: Path, db: Database
) -> None:
    out = tmp_path / "x.safetensors"
    done = spocdb("train", "finetune", "--out", out, "--labels-from", statement)
    assert done.returncode == 1 and line in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr and not out.exists()
    assert db.connection.execute("SELECT count(*) > 300 FROM clicks").fetchone() == (True,)
