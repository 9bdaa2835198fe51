"""Collections of synthetic images with metadata."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from spocdb.db.collections import Collection
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

AddImages = Callable[..., Collection]
Clustered = Callable[..., Float32Array]
Cli = Callable[..., Any]


@pytest.fixture
def photos(db: Database, add_images: AddImages, clustered: Clustered) -> Database:
    """Return a database with ten images in `photos` and five in `others`; even ids are marked."""
    add_images(db.connection, clustered(10))
    add_images(db.connection, clustered(5), "others")
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = jsonb_build_object('n', id, 'even', id % 2 = 0)"
    )
    return db


@pytest.fixture
def cli(app: Any, db: Database) -> Cli:
    """Return a function that runs a command in this process, on the test's database."""

    def run(*arguments: object, **options: Any) -> Any:
        return CliRunner().invoke(app, [*map(str, arguments), "--db", db.url], **options)

    return run
