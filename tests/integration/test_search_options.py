"""What `spocdb search` takes beside a query: projection, distance, liked and disliked images."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from spocdb.db.search import Hit
from tests.fixtures.opened import Database

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def shown(ran: "subprocess.CompletedProcess[str]") -> list[Any]:
    """Return what a search printed as JSON."""
    assert ran.returncode == 0, ran.stderr
    hits: list[Any] = json.loads(ran.stdout)
    return hits


def as_json(hits: list[Hit]) -> list[Any]:
    """Return hits as JSON shows them."""
    made: list[Any] = json.loads(json.dumps([asdict(hit) for hit in hits]))
    return made


def test_stored_images_by_a_kept_projection_up_to_a_distance(
    gallery: Database, spocdb: Run
) -> None:
    every = gallery.similar([7, 8], 30, unlike=[9], projection=1)
    bound = every[11].distance
    options = ["--id", 7, "--id", 8, "--unlike", 9, "--projection", 1, "-k", 30]
    ran = spocdb("search", *options, "--max-distance", bound, "--json", "--db", gallery.url)
    assert shown(ran) == as_json(every[:12])


def test_a_picture_with_liked_and_disliked_images(
    db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any], spocdb: Run
) -> None:
    folder = make_photos(8)
    db.ingest(folder, **recipe)
    query = folder / "0003.jpg"
    wanted = db.search(query, like=[1, 2], unlike=[3])
    assert wanted != db.search(query)
    options = ["--like", 1, "--like", 2, "--unlike", 3, "--json"]
    assert shown(spocdb("search", query, *options)) == as_json(wanted)
    ran = spocdb("search", "--id", 1, "--id", 2, "--sheet", folder.parent / "sheet.png")
    assert ran.returncode == 0 and (folder.parent / "sheet.png").exists(), ran.stderr
    assert len(ran.stdout.splitlines()) == 1 + 6


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (
            ["--id", 7, "--projection", 99],
            1,
            "by projection 99: see `spocdb pca list`",
        ),
        (["--id", 7, "--max-distance", 3], 1, "--max-distance must be 0 to 2, not 3.0"),
        (["--id", 7, "--max-distance", "nan"], 1, "--max-distance must be 0 to 2, not nan"),
        (["--id", 7, "--unlike", 99999], 1, "collection photos has no image 99999"),
        (["--id", 7, "--like", 8], 2, "Invalid value for --like: without an IMAGE repeat --id"),
        (["--id", 7, "query.jpg"], 2, "Invalid value for IMAGE: give an IMAGE, or --id, or --key"),
        (["--unlike", 7], 2, "Invalid value for IMAGE: give an IMAGE, or --id, or --key"),
    ],
)
def test_what_cannot_be_searched_is_said_in_options(
    gallery_url: str, spocdb: Run, options: list[Any], code: int, said: str
) -> None:
    ran = spocdb("search", *options, "--db", gallery_url)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.rstrip().endswith(said)
