"""A real browser on a real server. A page that logs an error, or asks another server, fails."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    sync_playwright,
)

Opened = Callable[..., Page]

# All pictures of the gallery are elements at once.
TALL = {"width": 1280, "height": 1400}


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Return Playwright; it is stopped soon, because its event loop fails asyncio.run."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Return Debian's Chromium; locally a test without it is skipped, in CI it fails."""
    program = shutil.which("chromium")
    if program is None:
        reason = "there is no chromium: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    # Its sandbox refuses to run as root.
    browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
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
