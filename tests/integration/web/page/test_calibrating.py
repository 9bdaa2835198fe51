"""How near copies are is measured on the page, by whoever has it open or comes back to it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.looking import shows
from tests.integration.web.page.reviewing import PAGE
from tests.integration.web.test_calibrating import HELD

Calibrated = Callable[..., Page]
# What 20 pictures are enough for.
PRECISION = "0.9"


@pytest.fixture
def filled(db: Database, make_photos: Callable[..., Path], recipe: dict[str, Any]) -> Database:
    db.ingest(make_photos(20), **recipe)
    return db


@pytest.fixture
def looked(opened: Any, filled: Database, serve: Serving) -> Iterator[Calibrated]:
    pages: list[Page] = []
    with serve(filled.engine, is_review=True) as client:

        def open_(**options: Any) -> Page:
            pages.append(opened(PAGE, base=str(client.base_url).rstrip("/"), **options))
            return pages[-1]

        yield open_
        # Before the server stops.
        for page in pages:
            page.close()


def test_it_is_followed_by_whoever_comes_back(filled: Database, looked: Calibrated) -> None:
    with filled.connection.transaction():
        filled.connection.execute(HELD)
        page = looked()
        button = page.get_by_role("button", name="Calibrate")
        page.get_by_label("With a precision of").fill(PRECISION)
        button.click()
        expect(button).to_be_disabled()
        page.close()
        page = looked()
        expect(page.get_by_text("Changed 20 of 20 pictures")).to_be_visible()
        expect(page.get_by_role("progressbar", name="Calibration")).to_be_visible()
        assert Axe().run(page).response["violations"] == []
    expect(page.get_by_text("the same picture up to a distance of")).to_be_visible()
    expect(page.get_by_role("button", name="Calibrate again")).to_be_enabled()
    expect(page.locator("#find select").locator("option").first).to_have_text(
        "the same picture, changed a little"
    )
    decides_about_the_nearest(page, filled)


def decides_about_the_nearest(page: Page, filled: Database) -> None:
    pairs = page.get_by_role("list", name="Are these copies?").get_by_role("listitem")
    expect(pairs.first.get_by_role("img")).to_have_count(2)
    assert Axe().run(page).response["violations"] == []
    pairs.nth(1).get_by_role("button", name="Different").click()
    same = pairs.first.get_by_role("button", name="Same")
    same.click()
    for button in (same, pairs.nth(1).get_by_role("button", name="Different")):
        expect(button).to_have_attribute("aria-pressed", "true")
    stored = sorted(one.verdict for one in filled.duplicates.decisions())
    assert stored == ["different", "same"]
    # What was decided is shown, and changes the groups.
    page.locator("#find select").select_option("the same file")
    page.get_by_role("button", name="Find duplicates").click()
    shows(page, "1 group of 2 pictures")
    expect(same).to_have_attribute("aria-pressed", "true")
    same.click()
    shows(page, "No duplicates")
    expect(same).to_have_attribute("aria-pressed", "false")
    assert [one.verdict for one in filled.duplicates.decisions()] == ["different"]


def test_a_refusal_is_told_and_another_can_begin(filled: Database, looked: Calibrated) -> None:
    page = looked(may_be_refused=True)
    page.get_by_role("button", name="Calibrate").click()
    expect(page.get_by_role("alert")).to_contain_text("takes 149 different images or more")
    expect(page.get_by_role("button", name="Calibrate")).to_be_enabled()
    # Whoever left the page is told, too.
    page.reload()
    expect(page.get_by_text("failed: precision 0.99 takes 149 different images")).to_be_visible()
