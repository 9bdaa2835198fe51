"""A collection described by a network in a file is served as any other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fixtures.graphs import write_onnx
from tests.fixtures.opened import Database

API = "/api/v1"


def test_an_uploaded_picture_is_described_by_the_file_s_network(
    db: Database, serve: Any, make_photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_photos(6)
    write_onnx(tmp_path / "model.onnx")
    db.ingest(folder, extractor=f"onnx:{tmp_path / 'model.onnx'}", size=64)
    with serve(db.engine) as client:
        (shown,) = client.get(f"{API}/collections").json()
        assert shown["extractor"].startswith("onnx-")
        data = (folder / "0003.jpg").read_bytes()
        found = client.post(f"{API}/collections/photos/search?k=3", content=data).json()
        assert [hit["path"] for hit in found["hits"]] == [h.path for h in db.search(data, 3)]
        (tmp_path / "model.onnx").unlink()
    # A server that has not loaded it says which file it needs.
    with Database(db.settings) as again, serve(again.engine) as client:
        refused = client.post(f"{API}/collections/photos/search?k=3", content=data)
        assert refused.status_code >= 400 and "of onnx are not on this machine" in refused.text
