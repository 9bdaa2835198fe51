"""The page for everybody: keyboard, screen reader, phone, dark, and names that are markup."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from spocdb.web.guard import COOKIE
from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import chosen, ids, shows, tiles

PHOTOS = "/collections/photos"
TOKEN = "a token of 24 characters"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def test_by_keyboard_alone(opened: Opened) -> None:
    page = opened(PHOTOS)
    shows(page, "24 pictures")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the pictures")).to_be_focused()
    tiles(page).first.locator("a").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(tiles(page).nth(2).locator("a")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    expect(tiles(page).last.locator("a")).to_be_focused()
    page.keyboard.press("Home")
    expect(tiles(page).first.locator("a")).to_be_focused()
    page.keyboard.press("Enter")
    shows(page, "23 pictures, nearest first")
    page.go_back()
    shows(page, "24 pictures")
    expect(tiles(page).first.locator("a")).to_be_focused()
    # All pictures are one stop of the Tab key.
    assert page.locator('#grid a[tabindex="0"]').count() == 1


def test_facets_by_keyboard(opened: Opened) -> None:
    page = opened(PHOTOS)
    chosen(page, "kind").focus()
    page.keyboard.press("Enter")
    expect(chosen(page, "kind")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    shows(page, "8 pictures")
    # The focus stays on the value.
    expect(page.locator(".value:visible input").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".value:visible")).to_have_count(0)


@pytest.mark.parametrize(
    ("scheme", "options"), [("light", {}), ("dark", PHONE)], ids=["desktop", "dark phone"]
)
def test_axe_finds_nothing_serious(
    opened: Opened, gallery: Database, scheme: str, options: dict[str, object]
) -> None:
    like = gallery.newest(collection="photos")[0].id
    page = opened("/sign-in", color_scheme=scheme, **options)
    for address in ("/sign-in", PHOTOS, f"{PHOTOS}?like={like}", f"{PHOTOS}/failures"):
        if not page.url.endswith(address):
            page.goto(address)
        if address.startswith(PHOTOS) and "failures" not in address:
            expect(page.locator("#status")).to_have_text(re.compile("picture"))
            chosen(page, "kind").click()
            expect(page.locator(".value:visible")).to_have_count(3)
        found = Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        said = [(one["id"], one["nodes"][0]["html"]) for one in serious]
        assert said == [], address


def test_dark_and_light(opened: Opened) -> None:
    def shade(scheme: str) -> int:
        page = opened(PHOTOS, color_scheme=scheme)
        colour = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        return int(re.findall(r"\d+", colour)[0])

    assert shade("dark") < 60 < 200 < shade("light")


@pytest.mark.parametrize("width", [320, 768, 3840])
def test_rows_fill_every_width(opened: Opened, width: int) -> None:
    page = opened(PHOTOS, viewport={"width": width, "height": 900})
    shows(page, "24 pictures")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    boxes = tiles(page).evaluate_all(
        "all => all.map(tile => tile.getBoundingClientRect().toJSON())"
    )
    grid = page.locator("#grid").bounding_box()
    assert grid
    rows = {box["top"] for box in boxes}
    for top in sorted(rows)[:-1]:
        row = [box for box in boxes if box["top"] == top]
        assert min(box["left"] for box in row) == pytest.approx(grid["x"], abs=1)
        assert max(box["right"] for box in row) == pytest.approx(grid["x"] + grid["width"], abs=1)


def test_a_finger_scrolls_over_the_query(opened: Opened, gallery: Database) -> None:
    like = gallery.newest(collection="photos")[0].id
    page = opened(f"{PHOTOS}?like={like}", **PHONE)
    shows(page, "23 pictures, nearest first")
    frame = page.locator(".frame")
    assert frame.evaluate("frame => getComputedStyle(frame).touchAction") == "auto"
    page.get_by_role("button", name="Search for a part").tap()
    assert frame.evaluate("frame => getComputedStyle(frame).touchAction") == "none"
    expect(page.get_by_role("button", name="Take a photograph")).to_be_visible()
    assert page.locator("#photograph").get_attribute("capture") == "environment"


def test_a_photograph_that_is_taken_is_searched_with(opened: Opened, picture: Path) -> None:
    page = opened(PHOTOS, **PHONE)
    shows(page, "24 pictures")
    with page.expect_file_chooser() as chosen_by:
        page.get_by_role("button", name="Take a photograph").tap()
    chosen_by.value.set_files(picture)
    shows(page, "24 pictures, nearest first")


def test_markup_in_names_and_metadata_is_text(opened: Opened, gallery: Database) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    id = next(i.id for i in gallery.newest(collection="photos") if i.path.endswith(name))
    page = opened(f"{PHOTOS}?like={id}")
    shows(page, "23 pictures, nearest first")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("<b>hat</b>")
    assert page.locator("main b, img[onerror]").count() == 0
    page = opened(PHOTOS)
    shows(page, "24 pictures")
    assert page.locator(f'img[alt="{name}"]').count() == 1
    assert page.locator("img[onerror]").count() == 0


def test_it_asks_for_the_token_once(opened: Opened, gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, token=TOKEN) as client:
        base = str(client.base_url).rstrip("/")
        page = opened(f"{PHOTOS}?filter=year>2010", base=base)
        assert "/sign-in" in page.url
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        shows(page, "13 pictures")
        assert "filter=" in page.url
        assert len(ids(page)) == 13
        (cookie,) = page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Lax")
        assert TOKEN not in cookie["value"]
        page.close()
