"""Near-duplicates of a collection: found, grouped around keepers, decided, kept up to date."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image
from psycopg.conninfo import make_conninfo

from spocdb.api.duplicates import Duplicates
from spocdb.errors import ConfigError, DuplicatesNotFound, ImageNotFound, InvalidValue
from spocdb.records import Float32Array
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

pytestmark = pytest.mark.servers

AddImages = Callable[..., Any]
# As far as a copy of `crowd` may be from its original; others are much farther.
NEAR = 0.05


def shown(duplicates: Duplicates) -> dict[int, list[int]]:
    """Return the ids of each group's duplicates by its keeper."""
    return {
        group.keeper.id: sorted(image.id for image in group.others) for group in duplicates.groups()
    }


def copies(rows: Float32Array, seed: int = 1) -> Float32Array:
    """Return descriptors a little beside others."""
    moved = rows + 0.01 * np.random.default_rng(seed).normal(size=rows.shape)
    unit: Float32Array = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit.astype(np.float16).astype(np.float32)


@pytest.fixture
def originals() -> Float32Array:
    rows = np.random.default_rng(0).normal(size=(60, 64))
    unit: Float32Array = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit.astype(np.float16).astype(np.float32)


@pytest.fixture
def crowd(db: Database, add_images: AddImages, originals: Float32Array) -> Database:
    """Return a database of 60 images, copies of the first ten, and one of the same bytes."""
    add_images(db.connection, originals)
    add_images(db.connection, copies(originals[:10]), first=60)
    add_images(db.connection, originals[:1], first=70)
    return db


def test_at_first_the_same_bytes_are_duplicates(crowd: Database) -> None:
    found = crowd.duplicates.find()
    assert (found.n_groups, found.n_images, found.n_extra, found.n_due) == (1, 2, 1, 0)
    assert found.distance is None
    assert shown(crowd.duplicates) == {1: [71]}


def test_what_is_near_is_a_group(crowd: Database) -> None:
    found = crowd.duplicates.find(distance=NEAR)
    assert (found.n_groups, found.n_images, found.extra_bytes) == (10, 21, 11)
    assert shown(crowd.duplicates) == {n: [n + 60] for n in range(2, 11)} | {1: [61, 71]}
    group = crowd.duplicates.group(61)
    assert group is not None
    assert [image.id for image in (group.keeper, *group.others)] == [1, 71, 61]
    assert group.others[0].distance == 0 < group.others[1].distance <= NEAR
    assert crowd.duplicates.group(30) is None
    # The same bytes again.
    assert crowd.duplicates.find(distance=NEAR) == found
    # Another distance is another search.
    assert crowd.duplicates.find(distance=1e-9).n_groups == 1


def test_sql_gives_the_same_groups(crowd: Database) -> None:
    crowd.duplicates.find(distance=NEAR)
    rows = crowd.connection.execute(
        "SELECT keeper_id, array_agg(image_id ORDER BY image_id) "
        "FROM spocdb.duplicate_groups('photos') WHERE image_id <> keeper_id GROUP BY 1"
    )
    assert dict(rows.fetchall()) == shown(crowd.duplicates)
    near = crowd.connection.execute("SELECT id, distance FROM spocdb.near_duplicates('photos', 61)")
    (one, apart), (other, _) = near.fetchall()
    assert {one, other} == {1, 71} and 0 < apart <= NEAR


@pytest.mark.parametrize("function", ["duplicate_groups('photos')", "near_duplicates('photos', 1)"])
def test_sql_says_that_nobody_looked(crowd: Database, function: str) -> None:
    with pytest.raises(psycopg.Error, match="no duplicates of collection photos were looked for"):
        crowd.connection.execute(f"SELECT * FROM spocdb.{function}")
    crowd.duplicates.find()
    with pytest.raises(psycopg.Error, match="collection photos has no image 999"):
        crowd.connection.execute("SELECT * FROM spocdb.near_duplicates('photos', 999)")


def test_the_rule_decides_what_is_kept(crowd: Database) -> None:
    crowd.connection.execute("UPDATE spocdb.images SET width = 2 * width WHERE id = 62")
    crowd.connection.execute("UPDATE spocdb.images SET size = 9 WHERE id = 63")
    crowd.connection.execute("UPDATE spocdb.images SET path = '/zest/a.PNG' WHERE id = 64")
    crowd.connection.execute("UPDATE spocdb.images SET metadata = '{\"stars\": 5}' WHERE id = 65")
    duplicates = crowd.duplicates
    for rule, kept in [
        ("pixels, bytes", {62, 63}),
        ("bytes", {63}),
        ("-pixels", set()),
        ("folder:/zest/", {64}),
        ("suffix:png", {64}),
        ("suffix:.PNG", {64}),
        ("-suffix:png", set()),
        ("key:stars", {65}),
        ("-key:stars", {65}),
        ("-oldest", {*range(62, 72)}),
        ("newest", {*range(62, 72)}),
    ]:
        duplicates.find(distance=NEAR, keep=rule)
        assert {keeper for keeper in shown(duplicates) if keeper > 60} == kept, rule
    with pytest.raises(ConfigError, match="keep: 'width' is none of pixels, bytes, oldest"):
        duplicates.find(keep="width")


def test_a_decision_is_kept_by_content(
    crowd: Database, add_images: AddImages, originals: Float32Array
) -> None:
    duplicates = crowd.duplicates
    duplicates.find(distance=NEAR)
    duplicates.decide(2, 62, "different")
    duplicates.decide(3, 63, "keep both")
    duplicates.decide(20, 30, "same")
    wanted = {n: [n + 60] for n in range(4, 11)} | {1: [61, 71], 20: [30]}
    assert shown(duplicates) == wanted
    # The files are moved: ids stay, paths change. Then they are gone, and come again.
    crowd.connection.execute("UPDATE spocdb.images SET path = path || '.moved'")
    assert duplicates.find() and shown(duplicates) == wanted
    assert crowd.delete(2, 62, 20, 30) == 4
    duplicates.find()
    assert shown(duplicates) == {n: [n + 60] for n in range(4, 11)} | {1: [61, 71]}
    add_images(crowd.connection, originals[[1, 19, 29]], first=100)
    add_images(crowd.connection, copies(originals[:10])[1:2], first=110)
    duplicates.find()
    # 2 and 62 are different again, 20 and 30 the same.
    assert [[*other] for keeper, other in shown(duplicates).items() if keeper > 71] == [[74]]
    assert len(shown(duplicates)) == 9
    said = [(decision.verdict, decision.decided_by) for decision in duplicates.decisions()]
    user = crowd.connection.info.user
    assert said == [("different", user), ("keep both", user), ("same", user)]
    # Another projection.
    crowd.pca.activate(crowd.pca.fit(dim=32))
    with pytest.raises(DuplicatesNotFound, match=r"run `db\.duplicates\.find"):
        crowd.duplicates.summary()
    duplicates.find(distance=NEAR)
    assert 3 not in shown(duplicates)
    duplicates.decide(3, 63, None)
    assert shown(duplicates)[3] == [63]


def test_what_is_added_later_joins(
    crowd: Database, add_images: AddImages, originals: Float32Array
) -> None:
    crowd.duplicates.find(distance=NEAR)
    add_images(crowd.connection, copies(originals[40:45], seed=3), first=80)
    assert crowd.duplicates.summary().n_due == 5
    crowd.duplicates.find()
    found = shown(crowd.duplicates)
    assert {keeper: others for keeper, others in found.items() if keeper > 11} == {
        41 + n: [72 + n] for n in range(5)
    }
    # The same as if everything was found at once.
    crowd.connection.execute("DELETE FROM spocdb.duplicate_searches")
    crowd.duplicates.find(distance=NEAR)
    assert shown(crowd.duplicates) == found


def test_a_keeper_that_goes_is_replaced(crowd: Database) -> None:
    crowd.duplicates.find(distance=NEAR)
    crowd.delete(1)
    # The first by path of the two that are left.
    assert shown(crowd.duplicates)[61] == [71]
    # By SQL alone: nobody has grouped the rest yet, and no group has one image.
    crowd.connection.execute("DELETE FROM spocdb.images WHERE id IN (71, 62)")
    assert all(len(others) > 0 for others in shown(crowd.duplicates).values())
    assert {61, 71, 62, 2}.isdisjoint(shown(crowd.duplicates))
    assert crowd.duplicates.summary().n_groups == 8
    crowd.duplicates.find()
    assert {61, 71, 62, 2}.isdisjoint(shown(crowd.duplicates))


def test_many_copies_are_all_found(
    db: Database, add_images: AddImages, originals: Float32Array
) -> None:
    add_images(db.connection, originals)
    for seed in range(100):
        add_images(db.connection, copies(originals[:1], seed), first=100 + seed)
    db.index.build()
    found = db.duplicates.find(distance=NEAR)
    assert (found.n_groups, found.n_images) == (1, 101)


def test_a_distance_that_joins_everything_is_refused(
    db: Database, add_images: AddImages, clustered: Callable[..., Float32Array]
) -> None:
    add_images(db.connection, clustered(1200))
    with pytest.raises(InvalidValue, match="distance must be smaller: half of the images have"):
        db.duplicates.find(distance=1.9)
    for distance in (-0.1, 2.1, float("nan")):
        with pytest.raises(InvalidValue, match="distance must be 0 to 2"):
            db.duplicates.find(distance=distance)


def test_what_cannot_be_decided(crowd: Database) -> None:
    with pytest.raises(ConfigError, match="images 1 and 71 have the same bytes"):
        crowd.duplicates.decide(1, 71, "same")
    with pytest.raises(ImageNotFound, match="has no image 99"):
        crowd.duplicates.decide(1, 99, "same")
    with pytest.raises(ConfigError, match="unknown verdict 'maybe': one of same, diff"):
        crowd.duplicates.decide(1, 2, "maybe")  # type: ignore[arg-type]
    with pytest.raises(DuplicatesNotFound):
        next(crowd.duplicates.groups())


def test_the_commands(
    db: Database, tmp_path: Path, photos: Path, recipe: dict[str, Any], spocdb: Run
) -> None:
    db.ingest(photos, **recipe)
    ran = spocdb("duplicates", "find", "--distance", 0.001)
    assert ran.returncode == 0, ran.stderr
    assert "photos: 2 groups of 5 images; 3 images beside the keepers" in ran.stdout
    listed = json.loads(spocdb("duplicates", "list", "--json").stdout)
    assert [len(group["others"]) for group in listed] == [2, 1]
    keeper = listed[0]["keeper"]["id"]
    ran = spocdb("duplicates", "show", keeper)
    assert ran.stdout.splitlines()[1].split()[:2] == ["0.0000", str(keeper)]
    assert len(ran.stdout.splitlines()) == 4
    # A copy that comes later is found by the ingest itself.
    (photos / "later.jpg").write_bytes((photos / "0005.jpg").read_bytes())
    assert spocdb("ingest", photos).returncode == 0
    assert db.duplicates.summary().n_groups == 3
    one, other = listed[1]["keeper"]["id"], listed[1]["others"][0]["id"]
    assert spocdb("duplicates", "decide", one, other, "keep-both").returncode == 0
    assert db.duplicates.summary().n_groups == 2
    assert spocdb("duplicates", "decide", one, other, "undecided").returncode == 0
    assert db.duplicates.summary().n_groups == 3


@pytest.fixture
def photos(make_photos: Callable[..., Path]) -> Path:
    """Return a folder of eight photographs, two copies of the first one, and a changed one."""
    folder = make_photos(8)
    for name in ("it's a copy.jpg", "b/copy.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((folder / "0000.jpg").read_bytes())
    with Image.open(folder / "0001.jpg") as picture:
        picture.save(folder / "again.png")
    return folder


def test_the_script_moves_when_it_is_told_to(
    db: Database, photos: Path, recipe: dict[str, Any], spocdb: Run, tmp_path: Path
) -> None:
    db.ingest(photos, **recipe)
    db.duplicates.find(keep="folder:" + str(photos / "b"))
    script, target = tmp_path / "move.sh", tmp_path / "to here"
    ran = spocdb("duplicates", "export", script, "--move-to", target)
    assert ran.returncode == 0 and "2 duplicates" in ran.stderr, ran.stderr
    dry = subprocess.run(["sh", script], capture_output=True, text=True, check=True)
    assert "it's a copy.jpg" in dry.stdout and not target.exists()
    subprocess.run(["sh", script, "run"], capture_output=True, check=True)
    assert (photos / "b" / "copy.jpg").exists()
    assert not (photos / "it's a copy.jpg").exists() and not (photos / "0000.jpg").exists()
    moved = sorted(path.name for path in target.rglob("*.jpg"))
    assert moved == ["0000.jpg", "it's a copy.jpg"]
    # Again, nothing is there to move.
    again = subprocess.run(["sh", script, "run"], capture_output=True, text=True, check=True)
    assert again.stderr.count("it is gone: ") == 2
    # Without its keeper nothing is moved.
    (photos / "0000.jpg").write_bytes(b"something")
    (photos / "b" / "copy.jpg").unlink()
    left = subprocess.run(["sh", script, "run"], capture_output=True, text=True, check=True)
    assert "its keeper is gone" in left.stderr and (photos / "0000.jpg").exists()


def test_the_script_leaves_alone_what_leads_to_its_keeper(
    db: Database, tmp_path: Path, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    folder = make_photos(2)
    (folder / "0000-link.jpg").symlink_to(folder / "0000.jpg")
    db.ingest(folder, **recipe)
    before = (folder / "0000.jpg").read_bytes()
    # The link comes first by its path, the file by the rule; both are tried.
    for rule in ("pixels", "newest", "oldest"):
        db.duplicates.find(keep=rule)
        both: list[dict[str, Any]] = [{"link": True}, {"move_to": tmp_path / "away"}]
        for number, options in enumerate(both):
            script = tmp_path / f"{number}.sh"
            assert db.duplicates.export(script, **options) == 1
            ran = subprocess.run(["sh", script, "run"], capture_output=True, text=True, check=True)
            assert "left alone, a symbolic link" in ran.stderr
    assert (folder / "0000.jpg").read_bytes() == before
    assert not (folder / "0000.jpg").is_symlink() and not (tmp_path / "away").exists()


def test_names_cannot_fake_what_would_be_done(
    db: Database, tmp_path: Path, make_photos: Callable[..., Path], recipe: dict[str, Any]
) -> None:
    folder = make_photos(1)
    for name in ("-n.jpg", "a\nrm -rf x.jpg", "$(touch bad).jpg", "\x1b[2Jgone.jpg", "b\\c.jpg"):
        (folder / name).write_bytes((folder / "0000.jpg").read_bytes())
    db.ingest(folder, **recipe)
    db.duplicates.find(keep="suffix:.JPG")
    script = tmp_path / "move.sh"
    n = db.duplicates.export(script, move_to=tmp_path / "away")
    dry = subprocess.run(["sh", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    # Two lines for each file: its folder, and the file.
    assert len(dry.stdout.splitlines()) == 2 * n and "\x1b" not in dry.stdout
    subprocess.run(["sh", script, "run"], capture_output=True, check=True, cwd=tmp_path)
    assert len([*(tmp_path / "away").rglob("*.jpg")]) == n >= 4
    assert len([*folder.iterdir()]) == 1 and not (tmp_path / "bad").exists()


def test_the_script_links_the_same_bytes_only(
    db: Database, photos: Path, recipe: dict[str, Any], tmp_path: Path
) -> None:
    db.ingest(photos, **recipe)
    db.duplicates.find(distance=0.001)
    script = tmp_path / "link.sh"
    assert db.duplicates.export(script, link=True) == 2
    (photos / "b" / "copy.jpg").write_bytes(b"changed meanwhile")
    subprocess.run(["sh", script, "run"], capture_output=True, check=True)
    assert (photos / "0000.jpg").samefile(photos / "it's a copy.jpg")
    assert (photos / "b" / "copy.jpg").read_bytes() == b"changed meanwhile"
    assert not (photos / "0001.jpg").samefile(photos / "again.png")


def test_lists_as_csv_and_lines(
    db: Database, photos: Path, recipe: dict[str, Any], tmp_path: Path
) -> None:
    db.ingest(photos, **recipe)
    db.duplicates.find(distance=0.001)
    assert db.duplicates.export(tmp_path / "a.csv") == 3
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "keeper_id,id,path,distance,width,height,size,sha256" and len(lines) == 6
    assert db.duplicates.export(tmp_path / "a.jsonl") == 3
    groups = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [len(group["others"]) for group in groups] == [2, 1]
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("a.txt", {}, "must end in .csv or .jsonl or .sh"),
        ("a.csv", {"link": True}, "is no script"),
        ("a.sh", {}, "needs either"),
        ("a.sh", {"link": True, "move_to": "x"}, "needs either"),
        ("no/a.csv", {}, "cannot write"),
    ]
    for file, options, said in wrong:
        with pytest.raises(ConfigError, match=said):
            db.duplicates.export(tmp_path / file, **options)


def test_a_reader_sees_the_groups_of_its_collection(
    granted: Any, roles: dict[str, str], log_in: Callable[[str], Any]
) -> None:
    for name in ("products", "secret"):
        granted.db.duplicates.find(name, distance=2)
    execute = log_in(roles["reader"]).execute
    own = "SELECT * FROM spocdb.duplicate_groups('products')"
    assert execute(own).fetchall() == granted.execute(own).fetchall() != []
    near = "SELECT * FROM spocdb.near_duplicates('products', 1)"
    assert execute(near).fetchall() == granted.execute(near).fetchall() != []
    for function in ("duplicate_groups('secret')", "near_duplicates('secret', 1)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not read collection"):
            execute(f"SELECT * FROM spocdb.{function}")


def test_a_worker_groups_the_rows_that_it_adds(
    granted: Any, roles: dict[str, str], spocdb: Run, url: str
) -> None:
    granted.db.duplicates.find("products")
    before = granted.db.duplicates.summary("products").n_images
    granted.execute("INSERT INTO products VALUES (7, '0002.jpg'), (8, '0002.jpg')")
    ran = spocdb("worker", "--once", "--db", make_conninfo(url, user=roles["worker"]))
    assert ran.returncode == 0, ran.stderr
    found = granted.db.duplicates.summary("products")
    assert found.n_due == 0 and found.n_images >= before + 2
    # Rows that go are noted, and the next turn sees to their groups.
    granted.execute("DELETE FROM products WHERE id > 6")
    assert spocdb("worker", "--once").returncode == 0
    assert granted.db.duplicates.summary("products").n_images == before
    with pytest.raises(ConfigError, match="its rows cannot be moved by a script"):
        granted.db.duplicates.export("move.sh", link=True, collection="products")


def test_the_code_of_the_guide_runs(crowd: Database, capsys: pytest.CaptureFixture[str]) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "duplicates.md"
    (block,) = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    exec(block, {"db": crowd})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "10 11" and len(lines) == 11
