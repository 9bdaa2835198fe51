"""The page in a real Chromium: look, search, filter, go back, copy the SQL."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from playwright.sync_api import expect

from spocdb.api import Crop
from tests.fixtures.opened import Database
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import (
    DROP,
    FOUND,
    PASTE,
    bring,
    chosen,
    ids,
    shows,
    statement,
    tiles,
    value,
)

PHOTOS = "/collections/photos"


def near(gallery: Database, image: int | Path, **options: object) -> list[int]:
    """Return the ids that the library finds."""
    if isinstance(image, int):
        return [hit.id for hit in gallery.similar(image, 60, collection="photos")]
    found = gallery.search(image.read_bytes(), 60, collection="photos", **options)  # type: ignore[arg-type]
    return [hit.id for hit in found]


def test_it_opens_on_the_newest_pictures(opened: Opened, gallery: Database) -> None:
    page = opened("/")
    assert urlsplit(page.url).path == PHOTOS
    shows(page, "24 pictures")
    newest = gallery.newest(collection="photos")
    assert ids(page) == [image.id for image in newest]
    expect(page.locator("#query")).to_be_hidden()
    first = tiles(page).first.locator("img")
    expect(first).to_have_js_property("complete", True)
    assert first.evaluate("image => image.naturalWidth") > 0


def test_the_first_pictures_are_there_without_the_module(opened: Opened, gallery: Database) -> None:
    page = opened(PHOTOS, java_script_enabled=False)
    assert tiles(page).count() == 24
    href = tiles(page).first.locator("a").get_attribute("href")
    assert href == f"?like={gallery.newest(collection='photos')[0].id}"


@pytest.mark.parametrize("how", [DROP, PASTE], ids=["dropped", "pasted"])
def test_a_picture_that_is_brought_finds_its_neighbours(
    opened: Opened, gallery: Database, picture: Path, how: str
) -> None:
    page = opened(PHOTOS)
    shows(page, "24 pictures")
    bring(page, how, picture)
    shows(page, "24 pictures, nearest first")
    assert ids(page) == near(gallery, picture)
    expect(tiles(page).first.locator(".distance")).to_have_text("distance 0.000")
    expect(page.get_by_role("heading", name="07.jpg")).to_be_visible()


def test_a_chosen_file_and_its_address_later(
    opened: Opened, gallery: Database, picture: Path
) -> None:
    page = opened(PHOTOS)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Search by picture").click()
    chooser.value.set_files(picture)
    shows(page, "24 pictures, nearest first")
    page.reload()
    shows(page, "24 pictures, nearest first")
    assert ids(page) == near(gallery, picture)
    # Another browser does not have the picture, and says so.
    other = opened(urlsplit(page.url)._replace(scheme="", netloc="").geturl())
    expect(other.locator("#notes")).to_contain_text("a picture that this browser does not have")
    assert tiles(other).count() == 0


def test_more_like_a_tile_and_the_way_back(opened: Opened, gallery: Database) -> None:
    page = opened(PHOTOS)
    shows(page, "24 pictures")
    newest = ids(page)
    tiles(page).nth(3).locator("a").click()
    shows(page, "23 pictures, nearest first")
    assert parse_qs(urlsplit(page.url).query) == {"like": [str(newest[3])]}
    assert ids(page) == near(gallery, newest[3])
    page.go_back()
    shows(page, "24 pictures")
    assert ids(page) == newest
    page.go_forward()
    shows(page, "23 pictures, nearest first")
    page.get_by_role("button", name="Clear", exact=True).click()
    shows(page, "24 pictures")


def test_a_part_by_mouse(opened: Opened, gallery: Database, picture: Path) -> None:
    page = opened(PHOTOS)
    bring(page, DROP, picture)
    shows(page, "24 pictures, nearest first")
    frame = page.locator(".frame").bounding_box()
    assert frame
    page.mouse.move(frame["x"] + 4, frame["y"] + 4)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2, steps=3)
    page.mouse.up()
    page.wait_for_url("**crop=**")
    expect(page.locator(".kicker")).to_have_text("Like a part of")
    shows(page, "24 pictures, nearest first")
    found = parse_qs(urlsplit(page.url).query)["crop"][0]
    crop = Crop(*map(int, found.split(",")))
    assert (crop.x, crop.y) < (10, 10)
    assert (crop.width, crop.height) == pytest.approx((156, 116), abs=6)
    assert ids(page) == near(gallery, picture, crop=crop)


def test_a_part_of_a_stored_picture_by_keyboard(opened: Opened, gallery: Database) -> None:
    id = gallery.newest(collection="photos")[0].id
    page = opened(f"{PHOTOS}?like={id}")
    shows(page, "23 pictures, nearest first")
    page.get_by_role("button", name="Search for a part").press("Enter")
    box = page.get_by_role("group", name="Part to search for")
    expect(box).to_be_focused()
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Enter"):
        box.press(key)
    page.wait_for_url("**crop=67,50,173,120")
    shows(page, "24 pictures, nearest first")
    page.get_by_role("button", name="Whole picture").click()
    shows(page, "23 pictures, nearest first")


def test_facets_have_counts_and_combine(opened: Opened, gallery: Database) -> None:
    page = opened(PHOTOS)
    chosen(page, "kind").click()
    rows = page.locator(".value:visible")
    expect(rows).to_have_count(3)
    assert sorted(rows.all_inner_texts()) == ["<b>hat</b>\n8", "boot\n8", "shoe\n8"]
    value(page, "boot").check()
    shows(page, "8 pictures")
    # The panel stays open, and the other values can be added.
    expect(rows).to_have_count(3)
    value(page, "<b>hat</b>").check()
    shows(page, "16 pictures")
    page.keyboard.press("Escape")
    chosen(page, "year").click()
    page.get_by_label("From").fill("2012")
    page.get_by_role("button", name="Apply").click()
    shows(page, "8 pictures")
    conditions = 'kind in ["boot", "<b>hat</b>"] and year>=2012'
    assert ids(page) == [i.id for i in gallery.newest(conditions, collection="photos")]
    # They hold for a search, too.
    tiles(page).first.locator("a").click()
    shows(page, "7 pictures, nearest first")
    page.get_by_role("button", name="Clear filters").click()
    shows(page, "23 pictures, nearest first")


def test_a_range_of_dates(opened: Opened) -> None:
    page = opened(PHOTOS)
    chosen(page, "sold").click()
    page.get_by_label("From").fill("2024-01-05")
    page.get_by_label("To", exact=True).fill("2024-01-10")
    page.get_by_role("button", name="Apply").click()
    shows(page, "6 pictures")
    expect(chosen(page, "sold")).to_contain_text("≥ 2024-01-05 · ≤ 2024-01-10")
    page.reload()
    shows(page, "6 pictures")


def test_a_filter_written_by_hand(opened: Opened) -> None:
    page = opened(f"{PHOTOS}?filter=year%3E2020 and kind!=boot")
    shows(page, "2 pictures")
    page.get_by_role("button", name="Remove the filter year>2020 and kind!=boot").click()
    shows(page, "24 pictures")


def test_the_sql_gives_the_same_rows(opened: Opened, gallery: Database, picture: Path) -> None:
    like = gallery.newest(collection="photos")[0].id
    page = opened(PHOTOS)
    for query in ("", '?filter=kind in ["boot"]', f"?like={like}&filter=year>2010"):
        if query:
            page.goto(PHOTOS + query)
        expect(page.locator("#status")).to_have_text(re.compile("picture"))
        with psycopg.connect(gallery.url) as connection:
            rows = connection.execute(statement(page).encode()).fetchall()
        assert [row[0] for row in rows] == ids(page), query
    page.goto(PHOTOS)
    bring(page, DROP, picture)
    expect(page.locator("#status")).to_have_text(FOUND)
    with psycopg.connect(gallery.url) as connection:
        rows = connection.execute(statement(page).encode()).fetchall()
    assert [row[0] for row in rows] == ids(page)
