"""Versions of files that 0.1.0 stored are kept: unchanged files are not read again."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg

from spocdb.db import schema
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Psql = Callable[..., "subprocess.CompletedProcess[str]"]

DUMP = Path(__file__).parent / "releases" / "0.1.0.sql"
# The folder of the photographs in the dump.
PLACE = "/srv/shop"

FILES = """
SELECT path, size, mtime_ns FROM spocdb.images WHERE collection_id = 1
UNION ALL SELECT path, size, mtime_ns FROM spocdb.failures WHERE collection_id = 1
"""


def test_unchanged_files_are_not_read_again_after_the_upgrade(
    empty_url: str, psql: Psql, environment: dict[str, str], tmp_path: Path
) -> None:
    psql(empty_url, DUMP.read_text().replace(PLACE, str(tmp_path))).check_returncode()
    (tmp_path / "photos").mkdir()
    with psycopg.connect(empty_url) as connection:
        files = connection.execute(FILES).fetchall()
    for path, size, mtime_ns in files:
        # These files are no images, so reading one would be a failure.
        Path(path).write_bytes(bytes(size))
        os.utime(path, ns=(0, mtime_ns))
    schema.upgrade(empty_url)
    with Database(from_environment(empty_url, environment)) as db:
        done = db.ingest(tmp_path / "photos", collection="photos")
        assert (done.n_unchanged, done.n_failed, done.n_new) == (8, 1, 0)
        assert [failure.reason for failure in db.failures("photos")] == ["UnreadableImage"]
        shown = db.image(1)
        assert shown.modified is not None
        assert shown.modified.timestamp() == os.stat(shown.path).st_mtime_ns // 10**9
        os.utime(tmp_path / "photos" / "0.jpg")
        done = db.ingest(tmp_path / "photos", collection="photos")
        assert (done.n_unchanged, done.n_failed) == (7, 2)


def test_versions_of_other_sources_are_read_again_by_the_older_program(
    url: str, psql: Psql
) -> None:
    """A downgrade keeps times and sizes; versions without them become zeros."""
    statements = """
        SELECT spocdb.add_extractor('mini-f', 'f', '{"backbone": "mini"}', 4);
        SELECT spocdb.create_collection('photos', 1);
        INSERT INTO spocdb.failures (collection_id, path, version, reason, message)
        SELECT 1, row_number() OVER (), v, '', ''
        FROM unnest(ARRAY['', '12 34', '-5 6', 'W/"etag"', '99999999999999999999 1']) v;
    """
    psql(url, statements).check_returncode()
    schema.downgrade(url, "0.1.0")
    found = psql(url, "SELECT mtime_ns, size FROM spocdb.failures ORDER BY path")
    assert found.stdout.split() == ["0|0", "12|34", "-5|6", "0|0", "0|0"]
