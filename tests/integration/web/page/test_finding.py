"""Duplicates are found on the page, by whoever has it open or comes back to it."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.fixtures.opened import Database
from tests.integration.web.page.looking import shows
from tests.integration.web.page.reviewing import groups
from tests.integration.web.page.test_access import PHONE
from tests.integration.web.test_finding import STORE

Looked = Callable[..., Page]


@pytest.fixture
def unsearched(copied: Database) -> Database:
    """Return the database of three groups, in which nobody has looked for any."""
    copied.connection.execute("DELETE FROM spocdb.duplicate_searches")
    return copied


def test_a_first_search_shows_what_it_finds(unsearched: Database, looked: Looked) -> None:
    page = looked()
    expect(page.get_by_text("is not measured yet for the active projection")).to_be_visible()
    expect(page.locator("#find select").locator("option")).to_have_text(
        ["the same file", "what is near"]
    )
    page.locator("#find select").select_option("what is near")
    page.get_by_label("no farther than a distance of").fill("0.2")
    page.get_by_role("button", name="Find duplicates").click()
    shows(page, "3 groups of 8 pictures")
    assert [*groups(page)] == [1, 5, 7]
    # Again, as the last time, by what was calibrated, or by the bytes.
    unsearched.connection.execute(STORE)
    page.reload()
    page.get_by_text("How they are found").click()
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    expect(page.locator("#find select").locator("option").first).to_have_text("as the last time")
    page.locator("#find select").select_option("the same file")
    page.get_by_role("button", name="Find duplicates").click()
    shows(page, "2 groups of 4 pictures")


def test_whoever_comes_back_sees_how_it_goes(unsearched: Database, looked: Looked) -> None:
    with unsearched.connection.transaction():
        unsearched.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        page = looked()
        button = page.get_by_role("button", name="Find duplicates")
        button.click()
        expect(page.get_by_text("You may leave this page")).to_be_visible()
        expect(button).to_be_disabled()
        page.close()
        page = looked()
        expect(page.get_by_text("You may leave this page")).to_be_visible()
        expect(page.get_by_role("progressbar")).to_be_visible()
    shows(page, "2 groups of 4 pictures")


def test_a_refusal_is_told_and_another_search_can_begin(
    unsearched: Database, looked: Looked
) -> None:
    unsearched.connection.execute(STORE)
    page = looked(may_be_refused=True)
    unsearched.connection.execute("DELETE FROM spocdb.duplicate_thresholds")
    page.locator("#find select").select_option("the same scene")
    page.get_by_role("button", name="Find duplicates").click()
    expect(page.get_by_role("alert")).to_contain_text("is not calibrated")
    expect(page.get_by_role("button", name="Find duplicates")).to_be_enabled()
    # Whoever left the page is told, too.
    page.reload()
    expect(page.get_by_text("failed: collection photos is not calibrated")).to_be_visible()


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desktop", "phone"])
def test_the_form_is_for_everybody(
    unsearched: Database, looked: Looked, size: dict[str, Any]
) -> None:
    page = looked(**size)
    page.locator("#find select").select_option("what is near")
    assert Axe().run(page).response["violations"] == []
