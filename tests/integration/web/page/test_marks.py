"""Results that are marked as right or wrong refine the query."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from playwright.sync_api import Page, expect

from tests.fixtures.opened import Database
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import DROP, bring, ids, shows, statement, tiles

PHOTOS = "/collections/photos"


def mark(page: Page, n: int, word: str) -> int:
    """Mark the n-th result, and return its id."""
    tile = tiles(page).nth(n)
    id = int(tile.get_attribute("data-id") or 0)
    tile.get_by_role("button", name=word).click()
    return id


def test_marks_refine_a_search_by_a_stored_picture(opened: Opened, gallery: Database) -> None:
    own = gallery.newest(collection="photos")[0].id
    page = opened(f"{PHOTOS}?like={own}")
    shows(page, "23 pictures, nearest first")
    right = mark(page, 2, "Right")
    shows(page, "22 pictures, nearest first")
    wrong = mark(page, 0, "Wrong")
    shows(page, "21 pictures, nearest first")
    wanted = gallery.similar([own, right], 60, collection="photos", unlike=[wrong])
    assert ids(page) == [hit.id for hit in wanted]
    asked = parse_qs(urlsplit(page.url).query)
    assert asked == {"like": [str(own), str(right)], "unlike": [str(wrong)]}
    with psycopg.connect(gallery.url) as connection:
        rows = connection.execute(statement(page).encode()).fetchall()
    assert [row[0] for row in rows] == ids(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=f"take back the mark of picture {wrong}").click()
    shows(page, "22 pictures, nearest first")
    page.go_back()
    shows(page, "21 pictures, nearest first")


def test_marks_refine_a_search_by_a_new_picture(
    opened: Opened, gallery: Database, picture: Path
) -> None:
    page = opened(PHOTOS)
    bring(page, DROP, picture)
    shows(page, "24 pictures, nearest first")
    wrong = mark(page, 1, "Wrong")
    page.wait_for_url("**unlike=**")
    pressed = page.locator(f'.tile[data-id="{wrong}"]').get_by_role("button", pressed=True)
    expect(pressed).to_have_count(1)
    expect(page.locator("#grid")).not_to_have_attribute("aria-busy", "true")
    wanted = gallery.search(picture.read_bytes(), 60, collection="photos", unlike=[wrong])
    assert ids(page) == [hit.id for hit in wanted]
    with psycopg.connect(gallery.url) as connection:
        rows = connection.execute(statement(page).encode()).fetchall()
    assert [row[0] for row in rows] == ids(page)


def test_marks_by_keyboard(opened: Opened, gallery: Database) -> None:
    own = gallery.newest(collection="photos")[0].id
    page = opened(f"{PHOTOS}?like={own}")
    shows(page, "23 pictures, nearest first")
    tiles(page).nth(1).locator("a").focus()
    page.keyboard.press("Tab")
    expect(tiles(page).nth(1).get_by_role("button", name="Right")).to_be_focused()
    # The other tiles' buttons are no stops of the Tab key.
    assert page.locator('#grid button[tabindex="0"]').count() == 2
    page.keyboard.press("Enter")
    shows(page, "22 pictures, nearest first")
    expect(tiles(page).nth(1).locator("a")).to_be_focused()
