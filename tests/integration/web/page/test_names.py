"""Collections of any name have addresses: in the API, on the page, through a browser's fetch."""

from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from spocdb.web.addresses import name_of, segment
from tests.fixtures.opened import Database
from tests.integration.web.conftest import API, Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import grey, shows, statement

# Browsers take dots out of a path; proxies and servers read %2F and %25 in more than one way.
NAMES = [
    *(
        "a/b",
        "/",
        "a//b",
        ".",
        "..",
        "...",
        "a.b",
        "../a",
        "~",
        "~2F",
        "~7E2F",
        "%",
        "%2F",
        "%252e",
    ),
    *(
        "a b",
        " a",
        "a+b",
        "?a=b",
        "#a",
        "a&b;c",
        "\\",
        "..\\a",
        "日本 é",
        'a"b',
        "a'b",
        "<b>",
        ":a",
    ),
]
FETCHED = """async (names) => {
  const { src } = document.querySelector("script[src]");
  const { collectionOf } = await import(src.replace("page.js", "server.js"));
  return Promise.all(names.map(async (name) => (await collectionOf(name).images({})).collection));
}"""


@pytest.fixture
def named(db: Database, add_images: Callable[..., None], serve: Serving) -> Iterator[httpx.Client]:
    """Return a client of a server of a collection of each name."""
    for name in NAMES:
        add_images(db.connection, np.eye(2, 32, dtype=np.float32), name)
    db.connection.execute(
        """INSERT INTO spocdb.failures (collection_id, path, version, reason, message)
           SELECT id, '/a.jpg', '', 'Unreadable', 'no image' FROM spocdb.collections"""
    )
    with serve(db.engine) as client:
        yield client


def test_every_name_has_one_address() -> None:
    addresses = [segment(name) for name in NAMES]
    assert len({*addresses}) == len(NAMES)
    assert not any(one in address for address in addresses for one in "/.?#\\ ")
    assert [segment(name) for name in ("photos", "my-photos_2")] == ["photos", "my-photos_2"]
    assert (name_of("~2f~2E"), name_of("~41~")) == ("/.", "~41~")


def test_every_name_is_found(named: httpx.Client) -> None:
    assert {c["name"] for c in named.get(f"{API}/collections").json()} == {*NAMES}
    for name in NAMES:
        for what in ("images", "facets", "failures", "sql", "coverage"):
            response = named.get(f"{API}/collections/{segment(name)}/{what}")
            assert response.status_code == 200, (name, what, response.text)
        assert named.get(f"{API}/collections/{segment(name)}/images").json()["collection"] == name


def test_a_browser_finds_them_too(opened: Opened, named: httpx.Client) -> None:
    base = str(named.base_url).rstrip("/")
    page = opened(f"/collections/{segment('..')}", base=base, prepare=grey)
    assert page.evaluate(FETCHED, NAMES) == NAMES
    for name in ("..", "a/b", "%2F", "日本 é"):
        page.get_by_role("button", name="Other collections").click()
        page.locator("#collections").get_by_text(name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        shows(page, "2 pictures")
        # The page's module runs.
        expect(page.locator("#grid.is-placed")).to_be_visible()
        assert "FROM spocdb." in statement(page)
        page.keyboard.press("Escape")
        page.locator(".tile a").first.click()
        shows(page, "1 picture, nearest first")
        page.get_by_role("link", name="1 failed").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("1 could not be stored")
        page.get_by_role("link", name="Projections").click()
        expect(page.get_by_role("heading", name="Projection 1")).to_be_visible()
        page.get_by_role("link", name="Pictures", exact=True).click()
        shows(page, "2 pictures")
    page.close()
