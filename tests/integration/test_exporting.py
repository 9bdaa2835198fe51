"""A collection as a Parquet file, read by pyarrow and by a reader that shares no code with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from spocdb import exporting
from spocdb.errors import ConfigError, MapNotFound, ProjectionNotFound
from spocdb.records import Float32Array
from tests.fixtures.opened import Database

N = 25


@pytest.fixture
def mapped(
    db: Database, add_images: Callable[..., Any], clustered: Callable[..., Float32Array]
) -> Database:
    """Return a database of N images with metadata, on a map, and one that came after it."""
    add_images(db.connection, clustered(N, 32))
    db.connection.execute(
        "UPDATE spocdb.images SET metadata = jsonb_build_object('n', id, 'name', 'Schön')"
    )
    db.map(method="components")
    add_images(db.connection, clustered(1, 32, seed=9), first=100)
    return db


def test_a_file_has_each_image_with_its_position(
    mapped: Database, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "GROUP_ROWS", 10)
    file = tmp_path / "photos.parquet"
    assert mapped.export(file) == N + 1
    assert parquet.ParquetFile(file).num_row_groups == 3
    found = duckdb.read_parquet(str(file))
    assert found.columns == ["id", "path", "width", "height", "metadata", "x", "y"]
    rows, images = found.fetchall(), [*mapped.images()]
    assert [row[:4] for row in rows] == [(i.id, i.path, i.width, i.height) for i in images]
    assert [json.loads(row[4]) for row in rows] == [image.metadata for image in images]
    points = mapped.map_points()
    placed = sorted((row[0], row[5], row[6]) for row in rows if row[5] is not None)
    assert [row[0] for row in placed] == points.ids.tolist() and len(placed) == N
    positions = np.array([row[1:] for row in placed], np.float32)
    np.testing.assert_array_equal(positions, points.positions)
    assert any(
        line.startswith("1 of 26 embedded images came after the map of photos") for line in said
    )


def test_embeddings_are_arrays_of_one_length(mapped: Database, tmp_path: Path) -> None:
    file = tmp_path / "photos.parquet"
    mapped.connection.execute("DELETE FROM spocdb.embeddings_1_1 WHERE image_id = 4")
    mapped.export(file, embeddings=True)
    table = parquet.read_table(file)
    column = table["embedding"].combine_chunks()
    assert column.type == pa.list_(pa.float32(), 32)
    ids, embeddings = mapped.embeddings()
    rows = dict(zip(table["id"].to_pylist(), column.to_pylist(), strict=True))
    assert rows.pop(4) is None
    np.testing.assert_array_equal([rows[id] for id in ids.tolist()], embeddings)


def test_without_a_map_the_positions_are_empty(
    mapped: Database, tmp_path: Path, said: list[str]
) -> None:
    mapped.pca.activate(mapped.pca.fit(dim=2))
    mapped.export(tmp_path / "photos.parquet")
    table = parquet.read_table(tmp_path / "photos.parquet")
    assert [table[name].null_count for name in ("x", "y")] == [N + 1, N + 1]
    assert said[-1].startswith("x and y are empty: collection photos has no map by projection 2")
    mapped.export(tmp_path / "1.parquet", projection=1, embeddings=True)
    assert parquet.read_table(tmp_path / "1.parquet")["x"].null_count == 1
    with pytest.raises(ProjectionNotFound):
        mapped.export(tmp_path / "9.parquet", projection=9)


def test_a_file_is_replaced_whole_or_not_at_all(
    mapped: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "photos.parquet"
    mapped.export(file)
    before = file.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(parquet.ParquetWriter, "write_table", fail)
        with pytest.raises(ConfigError, match=r"cannot write .*: No space left on device"):
            mapped.export(file)
    assert file.read_bytes() == before
    mapped.export(file, embeddings=True)
    assert [one.name for one in tmp_path.glob("*.parquet")] == ["photos.parquet"]
    assert [*tmp_path.glob(".*")] == []
    assert "embedding" in parquet.read_table(file).column_names
    with pytest.raises(ConfigError, match=r"cannot write .*none/photos.parquet: "):
        mapped.export(tmp_path / "none" / "photos.parquet")


def test_a_map_made_again_meanwhile_leaves_no_file(
    mapped: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "GROUP_ROWS", 10)
    write_table, written = parquet.ParquetWriter.write_table, list[int]()

    def map_again(writer: Any, table: Any) -> None:
        write_table(writer, table)
        written.append(len(table))
        if len(written) == 1:
            mapped.map(method="components")

    with monkeypatch.context() as patched:
        patched.setattr(parquet.ParquetWriter, "write_table", map_again)
        with pytest.raises(MapNotFound, match="the map of photos was replaced or dropped meanwh"):
            mapped.export(tmp_path / "photos.parquet")
    assert len(written) == 3
    assert [*tmp_path.iterdir()] == []
    mapped.export(tmp_path / "photos.parquet")
    assert parquet.read_table(tmp_path / "photos.parquet")["x"].null_count == 0


def test_an_empty_collection_has_no_rows(mapped: Database, tmp_path: Path) -> None:
    mapped.delete(filter="n exists")
    mapped.delete(*[image.id for image in mapped.images()])
    assert mapped.export(tmp_path / "photos.parquet") == 0
    assert parquet.read_table(tmp_path / "photos.parquet").num_rows == 0


def test_without_pyarrow_it_says_what_to_install(
    mapped: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'spocdb\[map\]'"):
        mapped.export(tmp_path / "photos.parquet")


def test_the_command(mapped: Database, tmp_path: Path, spocdb: Callable[..., Any]) -> None:
    file = tmp_path / "photos.parquet"
    ran = spocdb("export", str(file), "--embeddings")
    assert (ran.returncode, ran.stdout) == (0, "")
    line, last = ran.stderr.splitlines()
    assert line.startswith(
        "1 of 26 embedded images came after the map of photos, or changed: run `spocdb map"
    )
    assert last == f"wrote {file}: 26 images"
