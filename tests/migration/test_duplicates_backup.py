"""Groups of near-duplicates and decisions through backups."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spocdb.settings import from_environment
from tests.fixtures.copies import shown
from tests.fixtures.opened import Database


def test_a_backup_brings_groups_and_decisions_back(
    db: Database,
    copied_photos: Path,
    recipe: dict[str, Any],
    empty_url: str,
    environment: dict[str, str],
    psql: Callable[..., "subprocess.CompletedProcess[str]"],
    dump: Callable[..., str],
) -> None:
    db.ingest(copied_photos, **recipe)
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = '{\"place\": \"Ulm\"}' WHERE path LIKE '%/copy.jpg'"
    )
    db.duplicates.find(distance=0.001)
    assert len(db.duplicates.take_over()) == 1
    first, second = shown(db.duplicates).items()
    db.duplicates.decide(second[0], second[1][0], "different")
    db.duplicates.decide(first[0], second[0], "same")
    # One that is noted and not compared yet.
    db.delete(first[1][0])
    db.connection.execute("UPDATE spocdb.images SET path = path || '.moved'")
    psql(empty_url, dump(db.url)).check_returncode()
    assert dump(empty_url) == dump(db.url)
    with Database(from_environment(empty_url, environment)) as restored:
        assert shown(restored.duplicates) == shown(db.duplicates)
        assert restored.duplicates.decisions() == db.duplicates.decisions()
        assert restored.duplicates.summary() == db.duplicates.summary()
        for one in (db, restored):
            one.duplicates.find()
        groups = [*restored.duplicates.groups()]
        assert groups == [*db.duplicates.groups()] != []
        assert restored.duplicates.find(distance=0) == db.duplicates.find(distance=0)
        for decision in restored.duplicates.decisions():
            assert decision.verdict in ("same", "different")
