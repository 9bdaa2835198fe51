"""The HTTP API answers what the Python API answers."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from spocdb.web.options import Bounds
from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving

API = "/api/v1"


def ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def test_collections_and_their_state(client: httpx.Client, gallery: Database) -> None:
    found = ok(client.get(f"{API}/collections"))
    assert [(c["name"], c["n_images"]) for c in found] == [("others", 1), ("photos", 24)]
    assert found[1]["extractor"] == gallery.describe("photos").extractor


def test_an_uploaded_picture_finds_what_python_finds(
    client: httpx.Client, gallery: Database, photos: Path
) -> None:
    data = (photos / "07.jpg").read_bytes()
    found = ok(client.post(f"{API}/collections/photos/search?k=5", content=data))
    hits = gallery.search(data, 5, collection="photos")
    assert [(hit["id"], hit["path"]) for hit in found["hits"]] == [(h.id, h.path) for h in hits]
    assert [hit["distance"] for hit in found["hits"]] == pytest.approx([h.distance for h in hits])
    assert Path(found["hits"][0]["path"]).name == "07.jpg"


def test_a_part_of_a_picture(client: httpx.Client, gallery: Database, photos: Path) -> None:
    data = (photos / "07.jpg").read_bytes()
    query = f"{API}/collections/photos/search?k=24&crop=0,0,100,100"
    from spocdb.api import Crop

    hits = gallery.search(data, 24, collection="photos", crop=Crop(0, 0, 100, 100))
    assert [h["id"] for h in ok(client.post(query, content=data))["hits"]] == [h.id for h in hits]


def test_by_id_it_is_left_out(client: httpx.Client, ids: dict[str, int]) -> None:
    found = ok(client.get(f"{API}/collections/photos/similar?id={ids['07.jpg']}&k=30"))
    assert {hit["id"] for hit in found["hits"]} == {*ids.values()} - {ids["07.jpg"]}


def test_several_images_and_disliked_ones(
    client: httpx.Client, gallery: Database, ids: dict[str, int], photos: Path
) -> None:
    one, two, three = (ids[f"0{n}.jpg"] for n in (1, 2, 3))
    query = f"{API}/collections/photos/similar?id={one}&id={two}&unlike={three}&k=30"
    found = [hit["id"] for hit in ok(client.get(query))["hits"]]
    hits = gallery.similar([one, two], 30, collection="photos", unlike=[three])
    assert found == [hit.id for hit in hits]
    assert not {one, two, three} & {*found}
    data = (photos / "07.jpg").read_bytes()
    query = f"{API}/collections/photos/search?like={one}&unlike={three}&k=30"
    found = [hit["id"] for hit in ok(client.post(query, content=data))["hits"]]
    hits = gallery.search(data, 30, collection="photos", like=[one], unlike=[three])
    assert found == [hit.id for hit in hits]


def test_a_bound_on_the_distance(client: httpx.Client, photos: Path) -> None:
    data = (photos / "07.jpg").read_bytes()
    query = f"{API}/collections/photos/search?k=30&max_distance=0.001"
    assert len(ok(client.post(query, content=data))["hits"]) == 1


def test_all_images_within_a_distance(
    client: httpx.Client, gallery: Database, ids: dict[str, int], serve: Serving
) -> None:
    query: dict[str, str | float] = {"id": ids["07.jpg"], "within": 0.9}
    found = ok(client.get(f"{API}/collections/photos/similar", params=query))["hits"]
    hits = gallery.similar(ids["07.jpg"], None, collection="photos", max_distance=0.9)
    assert [hit["id"] for hit in found] == [hit.id for hit in hits]
    address = f"{API}/collections/photos/similar"
    for k, status in ((len(hits), 200), (len(hits) - 1, 422)):
        with serve(gallery.engine, bounds=Bounds(k=k)) as other:
            answer = other.get(address, params=query)
        assert answer.status_code == status
    assert f"more than {k} images are as near" in answer.json()["detail"]


def test_an_embedding_goes_on_in_sql(
    client: httpx.Client, gallery: Database, photos: Path, ids: dict[str, int]
) -> None:
    data = (photos / "07.jpg").read_bytes()
    found = ok(client.post(f"{API}/collections/photos/embed", content=data))
    assert len(found["embedding"]) == found["dim"] == gallery.collections()[1].dim
    nearest = gallery.connection.execute(
        "SELECT id FROM spocdb.photos ORDER BY embedding <#> %s::real[]::vector LIMIT 1",
        [found["embedding"]],
    ).fetchone()
    assert nearest == (ids["07.jpg"],)


@pytest.mark.parametrize(
    "filter", ["width=320", '{"width": 320}', '[["width", ">=", 320]]', "height<1000 and width>1"]
)
def test_filters_of_each_form(client: httpx.Client, ids: dict[str, int], filter: str) -> None:
    query: dict[str, str | int] = {"id": ids["07.jpg"], "k": 30, "filter": filter}
    assert len(ok(client.get(f"{API}/collections/photos/similar", params=query))["hits"]) == 23


def test_a_filter_that_finds_nothing_says_why(client: httpx.Client, ids: dict[str, int]) -> None:
    query: dict[str, str | int] = {"id": ids["07.jpg"], "filter": "widht=320"}
    found = ok(client.get(f"{API}/collections/photos/similar", params=query))
    assert found["hits"] == []
    assert "no image has the key widht" in found["notes"][0]


def test_an_image_by_its_id(client: httpx.Client, gallery: Database, ids: dict[str, int]) -> None:
    found = ok(client.get(f"{API}/images/{ids['07.jpg']}"))
    details = gallery.image(ids["07.jpg"])
    assert (found["path"], found["sha256"]) == (details.path, details.sha256)
    assert found["metadata"]["width"] == 320


def test_health_and_metrics(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    client.get(f"{API}/collections")
    client.request("NONSENSE", f"{API}/collections")
    lines = client.get("/metrics").text.splitlines()
    counted = 'spocdb_http_requests_total{method="GET",route="collections",status="200"}'
    assert any(line.startswith(counted) for line in lines), lines
    assert not any("NONSENSE" in line for line in lines)


PROBLEMS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/collections/none/failures", {}, 404, "collection-not-found"),
    ("GET", "/images/999999999", {}, 404, "image-not-found"),
    ("GET", "/images/0", {}, 422, "invalid-request"),
    ("GET", "/images/99999999999999999999", {}, 422, "invalid-request"),
    ("GET", "/collections/photos/similar", {}, 422, "config-error"),
    ("GET", "/collections/photos/similar?id=1&key=1", {}, 422, "config-error"),
    ("GET", "/collections/photos/similar?id=1&k=1001", {}, 422, "invalid-value"),
    ("GET", "/collections/photos/similar?id=1&rerank=201", {}, 422, "invalid-value"),
    ("GET", "/collections/photos/similar?id=1&filter=a", {}, 422, "config-error"),
    ("GET", "/collections/photos/similar?id=1&filter={", {}, 422, "config-error"),
    ("GET", "/collections/%00/images", {}, 422, "config-error"),
    ("GET", "/collections/photos/similar?key=%00", {}, 422, "config-error"),
    ("GET", "/collections/photos/images?filter=" + 4001 * "a", {}, 422, "invalid-value"),
    ("GET", "/nothing", {}, 404, "not-found"),
    ("DELETE", "/images/1", {}, 405, "method-not-allowed"),
    ("POST", "/collections/photos/search", {}, 400, "malformed-request"),
    ("POST", "/collections/photos/search", {"content": b"no picture"}, 422, "unreadable-image"),
    ("POST", "/collections/photos/search?crop=1,2", {"content": b"x"}, 422, "invalid-request"),
    ("POST", "/collections/photos/search", {"files": {"a": b"b"}}, 415, "unsupported-media-type"),
]


@pytest.mark.parametrize(("method", "path", "options", "status", "code"), PROBLEMS)
def test_errors_are_problem_details(
    client: httpx.Client, method: str, path: str, options: Any, status: int, code: str
) -> None:
    response = client.request(method, API + path, **options)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["title"] and problem["detail"] and problem["type"] == f"urn:spocdb:{code}"
    assert "\n" not in problem["detail"]


def test_an_expansion_by_the_nearest_alone(client: httpx.Client, ids: dict[str, int]) -> None:
    """Weights of 0.3 to the power of 100 are too small for a real."""
    query = f"{API}/collections/photos/similar?id={ids['07.jpg']}&expand=20&alpha=100"
    assert len(ok(client.get(query))["hits"]) == 10


def test_a_pixel_limit_holds(client: httpx.Client) -> None:
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    bomb += struct.pack(">I", zlib.crc32(chunk))
    response = client.post(f"{API}/collections/photos/search", content=bomb)
    assert (response.status_code, response.json()["code"]) == (413, "image-too-large")
