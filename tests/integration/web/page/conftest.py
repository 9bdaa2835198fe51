"""A real browser and a real server. A test fails if a page logs an error or asks another server."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.looking import grey
from tests.integration.web.page.reviewing import NAME, NEAR, PAGE, turned

Opened = Callable[..., Page]

ARGUMENTS = (
    "--no-sandbox",  # the sandbox refuses to run as root
    # An emulated GPU, and a new process for each window, take a fifth more of the processor.
    "--disable-gpu",
    "--renderer-process-limit=1",
)
# Tall enough that all pictures of the gallery are elements of the page.
TALL = {"width": 1280, "height": 1400}


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Return Playwright, only for this folder: while it runs, asyncio.run fails."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Return Debian's Chromium; without it tests are skipped, or fail in CI."""
    program = shutil.which("chromium")
    if program is None:
        reason = "there is no chromium: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    # As long as the browser's own limit below, for slow machines.
    expect.set_options(timeout=15_000)
    browser = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS])
    yield browser
    browser.close()


@pytest.fixture
def opened(chromium: Browser, client: httpx.Client) -> Iterator[Opened]:
    """Return a function that opens an address of the server in a new window.

    Its options are those of Playwright's contexts, e.g. `color_scheme`. With `may_be_refused` the
    browser may log that a request failed.
    """
    complaints: list[str] = []
    contexts = []
    own = str(client.base_url).rstrip("/")

    def open_(
        address: str = "/",
        base: str = own,
        prepare: Callable[[BrowserContext], None] = lambda context: None,
        may_be_refused: bool = False,
        **options: Any,
    ) -> Page:
        given = {"viewport": TALL, "reduced_motion": "reduce"} | options
        context = chromium.new_context(base_url=base, **given)
        context.set_default_timeout(15_000)
        contexts.append(context)
        prepare(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.extend(_errors(said, may_be_refused)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda shown: complaints.append(f"a dialog: {shown.message}"))
        page.on("request", lambda sent: complaints.extend(_foreign(sent.url, base)))
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def _errors(said: ConsoleMessage, may_be_refused: bool) -> list[str]:
    if may_be_refused and said.text.startswith("Failed to load resource"):
        return []
    return [f"{said.type}: {said.text}"] if said.type in ("error", "warning") else []


def _foreign(url: str, base: str) -> list[str]:
    is_own = url.startswith((base, f"blob:{base}"))
    return [] if is_own else [f"a request to {url}"]


@pytest.fixture
def picture(photos: Path) -> Path:
    """Return a photograph of the collection."""
    return photos / "07.jpg"


@pytest.fixture(scope="module")
def mapped(gallery: Database) -> Iterator[Database]:
    """Return the gallery with a map of `photos`, which goes afterwards."""
    made = gallery.map("photos", method="components")
    assert made.n_placed == 24
    yield gallery
    gallery.connection.execute("DELETE FROM spocdb.maps")


@pytest.fixture
def crowd(db: Database, add_images: Callable[..., None], serve: Serving) -> Iterator[str]:
    """Return the address of a server of 3,000 rows without files, on a map."""
    rng = np.random.default_rng(0)
    add_images(db.connection, rng.normal(size=(3000, 32)).astype(np.float32))
    db.map(method="components")
    with serve(db.engine) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def copied(db: Database, add_images: Callable[..., None]) -> Database:
    """Return a database of three groups.

    1 is the keeper of 2, which has its bytes, of 3 and of 4, which are 0.005 and 0.08 from it. 5
    and 6 are 0.02 apart, 7 and 8 have the same bytes.
    """
    rows = [
        *(turned(0), turned(0), turned(0.1), turned(0.4)),
        *(turned(0, 8), turned(0.2, 8), turned(0, 16), turned(0, 16)),
    ]
    for n, row in enumerate(rows):
        add_images(db.connection, row, first=n)
    db.connection.execute("UPDATE spocdb.images SET path = '/photos/' || %s WHERE id = 3", [NAME])
    db.connection.execute("""UPDATE spocdb.images SET metadata = '{"kind": "<b>hat</b>"}'
                             WHERE id IN (1, 4)""")
    db.duplicates.find(distance=NEAR)
    return db


@pytest.fixture
def review(copied: Database, serve: Serving) -> Iterator[str]:
    """Return the address of a server in review mode."""
    with serve(copied.engine, is_review=True) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def looked(opened: Opened, review: str) -> Iterator[Opened]:
    """Return a function that opens the page in review mode; the files do not exist."""
    pages = []

    def open_(address: str = "", **options: Any) -> Page:
        pages.append(opened(PAGE + address, base=review, **{"prepare": grey} | options))
        return pages[-1]

    yield open_
    # Before the server stops.
    for page in pages:
        page.close()
