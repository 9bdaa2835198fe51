"""A server whose database role is a reader shows what the role may see, and no more."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.settings import from_environment
from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving

API = "/api/v1"


@pytest.fixture
def reader(
    granted: Any, roles: dict[str, str], url: str, environment: dict[str, str], serve: Serving
) -> Iterator[httpx.Client]:
    """Return a client of a server that runs as the reader of `products`, beside `secret`."""
    settings = from_environment(make_conninfo(url, user=roles["reader"]), environment)
    with Database(settings) as database, serve(database.engine) as client:
        yield client


def test_its_own_collection_is_served(reader: httpx.Client, granted: Any) -> None:
    assert reader.get("/readyz").status_code == 200
    shown = reader.get(f"{API}/collections").json()
    assert [(c["name"], c["n_images"]) for c in shown] == [("products", len(granted.found()))]
    page = reader.get(f"{API}/collections/products/images").json()
    (first, *_) = [image["id"] for image in page["images"]]
    assert reader.get(f"{API}/images/{first}").json()["collection"] == "products"
    assert reader.get(f"{API}/images/{first}/thumbnail").status_code == 200
    data = (granted.folder / "0002.jpg").read_bytes()
    granted.db.map("products", method="components")
    asked = [
        reader.get(f"{API}/collections/products/map"),
        reader.get(f"{API}/collections/products/map/points"),
        reader.post(f"{API}/collections/products/search", content=data),
        reader.post(f"{API}/collections/products/embed", content=data),
        reader.get(f"{API}/collections/products/similar?id={first}"),
        reader.get(f"{API}/collections/products/similar?key=3"),
        reader.get(f"{API}/collections/products/facets"),
        reader.get(f"{API}/collections/products/failures"),
        reader.get(f"{API}/collections/products/coverage"),
    ]
    assert [response.status_code for response in asked] == [200] * len(asked)


def test_another_collection_is_not_there(reader: httpx.Client, granted: Any) -> None:
    (secret,) = granted.execute("SELECT min(image_id) FROM spocdb.secret").fetchone()
    data = (granted.folder / "0002.jpg").read_bytes()
    granted.db.map("secret", method="components")
    asked = [
        reader.get(f"{API}/collections/secret/map"),
        reader.get(f"{API}/collections/secret/map/points"),
        reader.post(f"{API}/collections/secret/search", content=data),
        reader.get(f"{API}/collections/secret/images"),
        reader.get(f"{API}/collections/secret/coverage"),
        reader.get(f"{API}/collections/products/similar?id={secret}"),
        reader.get(f"{API}/images/{secret}"),
        reader.get(f"{API}/images/{secret}/thumbnail"),
        reader.get(f"{API}/images/{secret}/picture"),
    ]
    assert [response.status_code for response in asked] == [404] * len(asked)
    assert not any("secret" in r.text for r in asked if "secret" not in str(r.url))


def test_what_only_the_table_holds_is_forbidden(reader: httpx.Client, granted: Any) -> None:
    """The role may not read the application's table, so it gets the thumbnail alone."""
    page = reader.get(f"{API}/collections/products/images").json()
    response = reader.get(f"{API}/images/{page['images'][0]['id']}/picture")
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"


def test_a_thumbnail_that_is_not_stored_is_not_made_of_the_table(
    reader: httpx.Client, granted: Any
) -> None:
    page = reader.get(f"{API}/collections/products/images").json()
    granted.execute("DELETE FROM spocdb.thumbnails")
    response = reader.get(f"{API}/images/{page['images'][0]['id']}/thumbnail")
    assert (response.status_code, response.json()["code"]) == (403, "right-missing")
    # A role that may read the table makes it, and stores it for everybody.
    granted.db.thumbnail(page["images"][0]["id"])
    assert reader.get(f"{API}/images/{page['images'][0]['id']}/thumbnail").status_code == 200


def test_the_page_of_its_own_collection_is_shown(reader: httpx.Client, granted: Any) -> None:
    listed = reader.get(f"{API}/collections/products/images").json()["images"]
    own = listed[0]
    assert reader.get("/", follow_redirects=True).url.path == "/collections/products"
    for address in ("", f"?like={own['id']}", "/failures", "/map"):
        page = reader.get(f"/collections/products{address}")
        assert page.status_code == 200, page.text
        assert "secret" not in page.text
    assert reader.get("/collections/secret").status_code == 404
    statement = reader.get(f"{API}/collections/products/sql").json()["sql"]
    rows = granted.execute(statement).fetchall()
    assert [(id, str(key)) for id, key in rows] == [(one["id"], one["path"]) for one in listed]
