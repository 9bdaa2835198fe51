"""Groups of near-duplicates as lists, and as scripts that a shell runs."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from tests.fixtures.opened import Database
from tests.fixtures.program import Run


def test_the_script_moves_when_it_is_told_to(
    db: Database, copied_photos: Path, recipe: dict[str, Any], spocdb: Run, tmp_path: Path
) -> None:
    db.ingest(copied_photos, **recipe)
    db.duplicates.find(keep="folder:" + str(copied_photos / "b"))
    script, target = tmp_path / "move.sh", tmp_path / "to here"
    ran = spocdb("duplicates", "export", script, "--move-to", target)
    assert ran.returncode == 0 and "2 duplicates" in ran.stderr, ran.stderr
    dry = subprocess.run(["sh", script], capture_output=True, text=True, check=True)
    assert "it's a copy.jpg" in dry.stdout and not target.exists()
    assert dry.stderr == f"nothing was changed: sh {script} run does it\n"
    subprocess.run(["sh", script, "run"], capture_output=True, check=True)
    assert (copied_photos / "b" / "copy.jpg").exists()
    assert (
        not (copied_photos / "it's a copy.jpg").exists()
        and not (copied_photos / "0000.jpg").exists()
    )
    moved = sorted(path.name for path in target.rglob("*.jpg"))
    assert moved == ["0000.jpg", "it's a copy.jpg"]
    # Again, nothing is there to move.
    again = subprocess.run(["sh", script, "run"], capture_output=True, text=True, check=True)
    assert again.stderr.count("it is gone: ") == 2
    # Without its keeper nothing is moved.
    (copied_photos / "0000.jpg").write_bytes(b"something")
    (copied_photos / "b" / "copy.jpg").unlink()
    left = subprocess.run(["sh", script, "run"], capture_output=True, text=True, check=True)
    assert "its keeper is gone" in left.stderr and (copied_photos / "0000.jpg").exists()


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
    db: Database, copied_photos: Path, recipe: dict[str, Any], tmp_path: Path
) -> None:
    db.ingest(copied_photos, **recipe)
    db.duplicates.find(distance=0.001)
    script = tmp_path / "link.sh"
    assert db.duplicates.export(script, link=True) == 2
    (copied_photos / "b" / "copy.jpg").write_bytes(b"changed meanwhile")
    subprocess.run(["sh", script, "run"], capture_output=True, check=True)
    assert (copied_photos / "0000.jpg").samefile(copied_photos / "it's a copy.jpg")
    assert (copied_photos / "b" / "copy.jpg").read_bytes() == b"changed meanwhile"
    assert not (copied_photos / "0001.jpg").samefile(copied_photos / "again.png")


def test_lists_as_csv_and_lines(
    db: Database, copied_photos: Path, recipe: dict[str, Any], tmp_path: Path
) -> None:
    db.ingest(copied_photos, **recipe)
    db.duplicates.find(distance=0.001)
    assert db.duplicates.export(tmp_path / "a.csv") == 3
    lines = (tmp_path / "a.csv").read_text().splitlines()
    header = "keeper_id,id,path,distance,level,width,height,size,sha256"
    assert lines[0] == header and len(lines) == 6
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
