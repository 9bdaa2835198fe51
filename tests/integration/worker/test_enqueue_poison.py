"""An image in an archive kills the workers that decode it: the rest of the archive gets through."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.fixtures.archived import shard
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.waiting import WaitUntil
from tests.integration.test_killed_by_an_image import out_of_memory_killer

IS_DUE = "SELECT FROM spocdb.queue WHERE due_at <= now()"


@pytest.mark.slow
def test_the_image_is_found_and_the_rest_of_its_archive_stored(
    db: Database,
    recipe: dict[str, Any],
    make_photos: Callable[..., Path],
    tmp_path: Path,
    start_spocdb: Start,
    wait_until: WaitUntil,
) -> None:
    folder = make_photos(12)
    Image.new("RGBA", (7000, 6000), "teal").save(folder / "0005b.png", compress_level=1)
    packed = shard(tmp_path / "s.tar", folder)
    db.enqueue(packed, **recipe)
    codes = []
    while db.connection.execute("SELECT FROM spocdb.queue").rowcount:
        wait_until(lambda: db.connection.execute(IS_DUE).rowcount)
        worker = start_spocdb("worker", "--once", "--visibility=1", SPOCDB_DATABASE_URL=db.url)
        with out_of_memory_killer(worker.pid):
            _, said = worker.communicate(timeout=120)
        codes.append(worker.returncode)
        assert len(codes) < 6, said
    # Two workers are lost; the third takes the archive alone and decodes apart.
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 3]
    (failure,) = db.failures("photos")
    assert (failure.path, failure.reason) == (f"{packed}/0005b.png", "ProcessLost")
    assert db.collections()[0].n_images == 12
