"""Failures by HTTP and on their page, a page at a time."""

import re
from collections.abc import Callable, Iterator
from html import unescape

import httpx
import numpy as np
import pytest

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.test_api import API, ok

# By the order of the database, as the page shows them.
INVENT = """
INSERT INTO spocdb.failures (collection_id, path, version, reason, message)
SELECT c.id, format('/p/%s a&b=c#d+e%%2F"é日".jpg', lpad(n::text, 3, '0')), '', 'Bad', 'no image'
FROM spocdb.collections c, generate_series(1, 230) n RETURNING path
"""


@pytest.fixture
def failed(db: Database, add_images: Callable[..., None], serve: Serving) -> Iterator[httpx.Client]:
    """Return a client of a server whose collection `photos` has failures."""
    add_images(db.connection, np.eye(2, 32, dtype=np.float32))
    with serve(db.engine) as client:
        yield client


def test_pages_hold_each_failure_once(failed: httpx.Client, db: Database) -> None:
    paths = sorted(path for (path,) in db.connection.execute(INVENT))
    seen: list[str] = []
    after: str | None = None
    while True:
        asked = {"limit": 100} | ({} if after is None else {"after": after})
        page = ok(failed.get(f"{API}/collections/photos/failures", params=asked))
        assert len(page["failures"]) <= 100
        seen += [failure["path"] for failure in page["failures"]]
        if (after := page["next"]) is None:
            break
    assert seen == paths


def test_the_page_leads_to_the_next(failed: httpx.Client, db: Database) -> None:
    paths = sorted(path for (path,) in db.connection.execute(INVENT))
    address, seen = "/collections/photos/failures", []
    for n_shown, is_last in ((100, False), (100, False), (30, True)):
        html = failed.get(address).text
        shown = [unescape(found) for found in re.findall(r'<p class="where">(.*)</p>', html)]
        assert len(shown) == n_shown
        assert "230 could not be stored" in html
        seen += shown
        following = re.search(r'rel="next" href="(.*?)"', html)
        assert (following is None) == is_last
        if following:
            address = f"/collections/photos/failures{unescape(following[1])}"
    assert seen == paths


@pytest.mark.parametrize("asked", ["limit=0", "limit=1001", "after=" + 2001 * "a"])
def test_what_is_asked_for_is_bounded(failed: httpx.Client, asked: str) -> None:
    assert failed.get(f"{API}/collections/photos/failures?{asked}").status_code == 422
