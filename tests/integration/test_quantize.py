"""A network rounded to 8-bit integers, from the command line: made, used, never mixed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spocdb.errors import ConfigError
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]


def test_a_network_is_rounded_and_used(
    spocdb: Run, db: Database, make_photos: Make, tmp_path: Path
) -> None:
    others, file = make_photos(5, "others", seed=1), tmp_path / "mini-int8.safetensors"
    (others / "bad.jpg").write_bytes(b"no picture")
    made = spocdb("quantize", others, file, "--extractor", "mini", "--size", 96)
    assert made.returncode == 0, made.stderr
    assert "left out: 1 unreadable file, such as" in made.stderr
    last = made.stderr.splitlines()[-1]
    assert last == f"wrote {file}, rounded by 5 pictures: use --extractor int8:{file}"

    photos = make_photos(8)
    assert spocdb("ingest", photos, "--extractor", f"int8:{file}").returncode == 0
    stored = db.describe("photos").recipe
    assert (stored.backbone, stored.size, stored.layer) == ("int8", 96, "conv10")
    mini = db.recipe("mini", size=96)
    assert stored.mean == mini.mean and stored.sigma == mini.sigma
    # The file is found again by its sha256.
    (hit,) = json.loads(spocdb("search", photos / "0003.jpg", "-k", 1, "--json").stdout)
    assert hit["path"] == str(photos / "0003.jpg") and hit["distance"] < 1e-2

    mixed = spocdb("ingest", photos, "--extractor", "mini", "--size", 96)
    assert mixed.returncode == 1 and "this collection has int8-" in mixed.stderr
    assert spocdb("ingest", photos, "--collection", "full", "--extractor", mini.name).returncode
    again = spocdb("ingest", photos, "--collection", "full", "--extractor", "mini", "--size", 96)
    assert again.returncode == 0, again.stderr
    file.unlink()
    gone = spocdb("search", photos / "0003.jpg", "--collection", "photos")
    assert gone.returncode == 1 and "give the file with `weights=int8:FILE`" in gone.stderr


def test_its_descriptors_are_near_those_of_the_network(
    db: Database, make_photos: Make, tmp_path: Path
) -> None:
    folder, file = make_photos(6), tmp_path / "int8.safetensors"
    assert db.quantize(folder, file, extractor="mini", size=96) == 6
    pixels = [np.full((96, 96, 3), 40 * n, np.uint8) for n in range(5)]
    for each in pixels:
        each[20:60, :40, 1] = 255 - each[20:60, :40, 1]
    ours = db.extractor(f"int8:{file}").extract(pixels)
    full = db.extractor("mini", size=96).extract(pixels)
    assert 0.95 < (ours * full).sum(1).min() < 1 - 1e-6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--extractor", "efficientnet_v2_s", "--weights", "{photo}"), "is broken, or unsafe"),
        (
            ("--extractor", "int8:{photo}"),
            "no network in integers: make one with `spocdb quantize`",
        ),
        (("--extractor", "int8"), "int8 needs a file: make one with `spocdb quantize`"),
    ],
)
def test_what_cannot_be_rounded_is_one_line(
    words: tuple[str, ...], said: str, spocdb: Run, make_photos: Make, tmp_path: Path
) -> None:
    folder, file = make_photos(1), tmp_path / "out.safetensors"
    given = [word.format(photo=folder / "0000.jpg") for word in words]
    done = spocdb("quantize", folder, file, *given)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1
    assert not file.exists()


def test_a_rounded_network_is_not_rounded_again(
    db: Database, make_photos: Make, tmp_path: Path
) -> None:
    folder, file = make_photos(2), tmp_path / "int8.safetensors"
    db.quantize(folder, file, extractor="mini", size=64)
    with pytest.raises(ConfigError, match="int8 is no plain stack of convolutions"):
        db.quantize(folder, tmp_path / "twice.safetensors", extractor=f"int8:{file}")
    with pytest.raises(ConfigError, match=r"the name must end in \.safetensors"):
        db.quantize(folder, tmp_path / "out.bin", extractor="mini")
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="there are no images under"):
        db.quantize(empty, file, extractor="mini")
