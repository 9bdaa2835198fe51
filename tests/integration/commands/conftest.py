"""Fixtures for tests that run every command in the test's process."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.program import Finished, Run


@pytest.fixture
def call(spocdb: Run, environment: dict[str, str], url: str) -> Run:
    """Return a function that runs a command line on the test's database, or on `db`."""

    def call(*arguments: object, db: str = url, **options: Any) -> Finished:
        return spocdb(*arguments, env=environment | {"SPOCDB_DATABASE_URL": db}, **options)

    return call


@pytest.fixture
def photos(ingested_photos: Path) -> Path:
    return ingested_photos


@pytest.fixture
def workplace(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of ingested photographs; the working directory is its parent."""
    monkeypatch.chdir(photos.parent)
    return photos
