"""A codebook from the command line: learned, ingested with, searched with, remembered."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import WeightsNotFound
from tests.fixtures.opened import Database

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[..., Path]

NETWORK = ("--extractor", "squeezenet1_1", "--size", "96", "--weights")


@pytest.mark.parametrize(("kind", "k", "dim"), [("fisher", 4, 260), ("triangulation", 2, 512)])
def test_a_codebook_is_learned_used_and_remembered(
    spocdb: Run,
    db: Database,
    make_photos: Make,
    random_weights: Path,
    tmp_path: Path,
    kind: str,
    k: int,
    dim: int,
) -> None:
    others, file = make_photos(30, "others", seed=1), tmp_path / "codebook.safetensors"
    network = (*NETWORK, random_weights)
    learned = spocdb("codebook", "fit", others, file, "--kind", kind, "-k", k, *network)
    assert learned.returncode == 0, learned.stderr
    assert learned.stderr == f"wrote {file}, learned from 30 images\n"

    photos = make_photos(6)
    ran = spocdb("ingest", photos, "--pooling", kind, "--codebook", file, *network)
    assert ran.returncode == 0, ran.stderr
    (stored,) = db.extractors()
    assert (stored.dim, stored.recipe.pooling, stored.recipe.codebook_dim) == (dim, kind, dim)
    # Neither file is given again.
    found = spocdb("search", photos / "0003.jpg", "-k", 1, "--json")
    (hit,) = json.loads(found.stdout)
    assert hit["path"] == str(photos / "0003.jpg")
    assert hit["distance"] < 1e-2

    file.unlink()
    with pytest.raises(WeightsNotFound, match=r"the codebook .* give the file with `codebook="):
        db.search(photos / "0003.jpg")


def test_what_a_codebook_is_not_learned_from_is_said(
    db: Database, make_photos: Make, random_weights: Path, tmp_path: Path, said: list[str]
) -> None:
    folder, file = make_photos(20), tmp_path / "codebook.safetensors"
    (folder / "0000.jpg").write_bytes(b"no image")
    (folder / "0007.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("notes")
    said.clear()
    network: dict[str, Any] = {"extractor": "squeezenet1_1", "weights": random_weights, "size": 96}
    # For so long a vector the images are read twice; each is counted once.
    n_used = db.learn_codebook(folder, file, "triangulation", 4, **network)
    assert n_used == 18
    assert said[0] == "left out: 1 .txt"
    assert said[1].startswith(
        f"left out: 2 unreadable files, such as {folder / '0000.jpg'}: "
    ) and not said[1].endswith(": ")
    assert len(said) == 2


def test_a_codebook_is_asked_for_and_checked(
    spocdb: Run, make_photos: Make, random_weights: Path, tmp_path: Path
) -> None:
    photos, network = make_photos(2), (*NETWORK, random_weights)
    without = spocdb("ingest", photos, "--pooling", "fisher", *network)
    assert without.returncode == 1
    assert "needs a codebook: give one with --codebook FILE" in without.stderr
    (tmp_path / "other.safetensors").write_bytes(b"something else")
    other = spocdb(
        "ingest", photos, "--pooling=fisher", "--codebook", tmp_path / "other.safetensors", *network
    )
    assert other.returncode == 1
    assert "is no codebook: make one with `spocdb codebook fit`" in other.stderr
    few = spocdb("codebook", "fit", photos, tmp_path / "c.safetensors", "-k", 256, *network)
    assert (few.returncode, len(few.stderr.splitlines())) == (1, 1)
    assert "too few for 256 centres: give more images" in few.stderr
    assert not list(tmp_path.glob("c*.safetensors"))
    nowhere = spocdb("codebook", "fit", tmp_path / "nowhere", tmp_path / "c.safetensors", *network)
    assert (nowhere.returncode, len(nowhere.stderr.splitlines())) == (1, 1)
