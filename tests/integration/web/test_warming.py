"""Networks are there before the first search by a picture."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spocdb import api
from spocdb.api import Engine
from spocdb.web.options import ServerOptions
from spocdb.web.warming import warm
from tests.fixtures.opened import Database


def loaded(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "loaded" in record.getMessage()]


def test_a_search_finds_its_network_loaded(
    gallery: Database, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "spocdb")
    with Engine(gallery.settings) as engine:
        warm(engine, ServerOptions()).join()
        # Both collections have the same one.
        assert len(loaded(caplog)) == 1
        hits = api.Database(engine).search(photos / "07.jpg", collection="photos")
        assert Path(hits[0].path).name == "07.jpg" and len(loaded(caplog)) == 1


def test_a_network_that_cannot_be_loaded_is_told(
    db: Database, add_images: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    # Its weights are nowhere.
    add_images(db.connection, np.eye(2, 32, dtype=np.float32))
    warm(db.engine, ServerOptions()).join()
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert ": no search by pictures: " in warning.getMessage()
