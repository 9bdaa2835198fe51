"""The duplicates of a collection as a page: groups, one group, two pictures compared."""

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageOps
from playwright.sync_api import Page, expect

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import grey, shows
from tests.integration.web.page.reviewing import FIRST, NAME, PAGE, copy, groups, rejected
from tests.integration.web.page.test_access import PHONE

Looked = Callable[..., Page]
LOADED = """() => [...document.querySelectorAll("#stage img")].every(
  (drawn) => drawn.complete && drawn.naturalWidth)"""


def test_the_groups_are_listed(looked: Looked) -> None:
    page = looked()
    shows(page, "3 groups of 8 pictures")
    assert groups(page) == {
        1: FIRST,
        5: {5: "kept", 6: "0.020"},
        7: {7: "kept", 8: "same bytes"},
    }
    expect(page.get_by_role("heading", name="000004.jpg")).to_be_visible()


def test_a_group_by_itself(looked: Looked, copied: Database) -> None:
    page = looked()
    copy(page, 4).click()
    page.wait_for_url("**?group=1&with=4")
    expect(page.locator("#stage img")).to_have_count(2)
    expect(page.locator("#stage figcaption")).to_have_text(["Kept: 000000.jpg", "Copy: 000003.jpg"])
    # Without a place in the history: back leads to all groups.
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**with=3")
    expect(page.locator("#stage figcaption").last).to_have_text(f"Copy: {NAME}")
    page.keyboard.press("n")
    page.wait_for_url("**?group=5")
    expect(page.locator("#stage figcaption").first).to_have_text("Kept: 000004.jpg")
    page.keyboard.press("p")
    page.wait_for_url("**?group=1")
    expect(page.get_by_role("button", name="Previous group")).to_be_disabled()
    page.go_back()
    page.wait_for_url("**?group=5")
    page.keyboard.press("Escape")
    page.wait_for_url(f"**{PAGE}")
    expect(page.locator("#all")).to_be_visible()
    expect(page.locator("#pair")).to_be_hidden()
    # The focus is where it was.
    expect(copy(page, 5)).to_be_focused()
    assert rejected(copied) == set()


def test_facts_side_by_side(looked: Looked, copied: Database) -> None:
    copied.connection.execute("UPDATE spocdb.images SET width = 40, size = 2000 WHERE id = 4")
    page = looked("?group=1&with=4")
    table = page.locator("#facts table")
    expect(table).to_contain_text("<b>hat</b>")
    rows = table.locator("tbody tr").evaluate_all(
        """all => all.map(row => [[...row.children].map(cell => cell.firstChild.textContent),
                                  row.classList.contains('differs')])"""
    )
    facts = {cells[0]: (cells[1:], differs) for cells, differs in rows}
    assert facts["Path"] == (["/photos/000000.jpg", "/photos/000003.jpg"], True)
    assert facts["Pixels"] == (["4 x 3", "40 x 3"], True)
    assert facts["Bytes"] == (["1", "2,000"], True)
    assert facts["Format"] == (["JPG", "JPG"], False)
    assert facts["Distance"] == (["\N{EN DASH}", "0.0790"], False)
    assert facts["kind"] == (["<b>hat</b>", "<b>hat</b>"], False)
    assert facts["SHA-256"][1]
    page.keyboard.press("ArrowLeft")
    expect(table.locator("tr.differs th", has_text="kind")).to_be_visible()
    assert page.locator("main b, img[onerror]").count() == 0


def test_blink_by_key_and_by_itself(looked: Looked) -> None:
    page = looked("?group=1&with=4")
    kept, other = (page.locator(f"#stage .{role} img") for role in ("kept", "other"))
    expect(kept).to_be_visible()
    page.keyboard.press("Space")
    page.wait_for_url("**view=blink")
    expect(other).to_be_hidden()
    # In the same place.
    assert kept.bounding_box() == other.bounding_box()
    page.keyboard.press("Space")
    expect(other).to_be_visible()
    expect(kept).to_be_hidden()
    page.keyboard.press("Space")
    expect(kept).to_be_visible()
    page.get_by_role("button", name="Automatic").click()
    expect(other).to_be_visible()
    expect(kept).to_be_visible()
    page.get_by_role("button", name="Side by side").click()
    page.wait_for_url("**with=4")
    expect(page.get_by_role("button", name="Automatic")).to_be_hidden()
    expect(other).to_be_visible()
    expect(kept).to_be_visible()


def brightness(page: Page) -> float:
    """Return the mean of the stage as it is shown, 0 for black to 255, once it is drawn."""
    page.wait_for_function(LOADED)
    with Image.open(BytesIO(page.locator("#stage").screenshot())) as shown:
        # Without its round corners.
        return float(np.asarray(shown.convert("L"))[20:-20, 20:-20].mean())


def test_the_difference_of_two_pictures(
    opened: Opened,
    db: Database,
    serve: Serving,
    make_photos: Callable[..., Path],
    recipe: dict[str, Any],
) -> None:
    folder = make_photos(2)
    (folder / "copy.jpg").write_bytes((folder / "0000.jpg").read_bytes())
    with Image.open(folder / "0000.jpg") as photo:
        # The frame is the same, whatever the size.
        photo.resize((48, 36)).save(folder / "small.jpg")
        ImageOps.invert(photo).save(folder / "inverted.jpg", quality=30)
    db.ingest(folder, collection="photos", **recipe)
    db.duplicates.find(distance=2)
    ids = {Path(image.path).stem: image.id for image in db.images()}
    db.review.keep({ids["0000"]: []})
    with serve(db.engine) as client:
        base = str(client.base_url).rstrip("/")
        page = opened(f"{PAGE}?view=difference&group={ids['0000']}&with={ids['copy']}", base=base)
        page.get_by_label("Brightness").select_option("1")
        same = brightness(page)
        seen = {}
        for name in ("small", "inverted"):
            page.goto(f"{PAGE}?view=difference&group={ids['0000']}&with={ids[name]}")
            page.get_by_label("Brightness").select_option("1")
            seen[name] = brightness(page)
        page.get_by_label("Brightness").select_option("16")
        brighter = brightness(page)
        page.close()
    assert same < 0.5 < 2 * same + 0.5 < seen["small"] < seen["inverted"] / 4 < brighter


def test_the_slider_narrows_groups(looked: Looked, copied: Database) -> None:
    page = looked()
    slider = page.get_by_label("Up to a distance of")
    expect(page.locator("#nearness")).to_have_text("0.200")
    slider.fill("0.05")
    shows(page, "3 groups of 7 pictures")
    assert groups(page)[1] == {1: "kept", 2: "same bytes", 3: "0.005"}
    expect(page.locator("#nearness")).to_have_text("0.050")
    page.wait_for_url("**?distance=0.05")
    slider.press("Home")
    shows(page, "2 groups of 4 pictures")
    assert [*groups(page)] == [1, 7]
    # A shared address shows the same; a group that is too far is none.
    other = looked("?distance=0.05&group=1&with=3")
    expect(other.locator("#strip .copy")).to_have_count(3)
    expect(other.get_by_label("Up to a distance of")).to_have_value("0.05")
    other = looked("?distance=0.01&group=5")
    expect(other.locator("#notes")).to_contain_text("in no group")
    slider.press("End")
    shows(page, "3 groups of 8 pictures")
    page.wait_for_url(f"**{PAGE}")


def test_what_is_hidden_by_the_slider_is_not_rejected(looked: Looked, copied: Database) -> None:
    page = looked("?distance=0.05")
    expect(page.locator("#reject-seen")).to_have_text("Reject 4 copies seen so far")
    page.locator("#reject-seen").click()
    shows(page, "3 groups of 7 pictures, 4 rejected")
    assert rejected(copied) == {2, 3, 6, 8}


@pytest.mark.parametrize(
    "asked", ["?group=x&with=-1&distance=abc&view=none", "?group=99", "?distance=1e9&group=0"]
)
def test_an_address_of_nonsense_shows_the_groups(looked: Looked, asked: str) -> None:
    page = looked(asked, may_be_refused=True)
    expect(page.locator("#status")).to_have_text(re.compile("^3 groups of"))
    page.goto(PAGE)
    shows(page, "3 groups of 8 pictures")


@pytest.fixture
def many(db: Database, add_images: Callable[..., None], serve: Serving) -> Iterator[str]:
    """Return the address of a server of 60 pairs of the same bytes, and of a group of 70."""
    for n in range(60):
        row = np.zeros((1, 128), np.float32)
        row[0, n] = 1
        add_images(db.connection, row, first=2 * n)
        add_images(db.connection, row, first=2 * n + 1)
    for n in range(70):
        row = np.zeros((1, 128), np.float32)
        row[0, 100] = 1
        add_images(db.connection, row, first=1000 + n)
    db.duplicates.find()
    with serve(db.engine, is_review=True) as client:
        yield str(client.base_url).rstrip("/")


def test_more_groups_come_when_they_are_scrolled_to(opened: Opened, many: str) -> None:
    page = opened(PAGE, base=many, prepare=grey)
    shows(page, "61 groups of 190 pictures")
    last = page.locator(".group").last
    while page.locator("#end").inner_text():
        last.scroll_into_view_if_needed()
    expect(page.locator(".group")).to_have_count(61)
    expect(last.locator(".copy")).to_have_count(60)
    expect(last.locator(".missing")).to_have_text("and 10 more")
    expect(last.get_by_role("paragraph")).to_have_text("69 copies, the same bytes")
    assert len({*groups(page)}) == 61
    page.close()


def test_a_group_far_behind_has_an_address(opened: Opened, many: str) -> None:
    page = opened(f"{PAGE}?group=115", base=many, prepare=grey)
    expect(page.locator("#stage figcaption").first).to_have_text("Kept: 000114.jpg")
    page.keyboard.press("n")
    page.wait_for_url("**?group=117")
    page.keyboard.press("Escape")
    expect(page.locator("#all")).to_be_visible()
    expect(page.locator(".group").first.get_by_role("heading")).to_have_text("000000.jpg")
    page.close()


def test_the_next_group_is_loaded(opened: Opened, many: str) -> None:
    page = opened(f"{PAGE}?group=47", base=many, prepare=grey)
    expect(page.locator("#stage figcaption").first).to_have_text("Kept: 000046.jpg")
    page.keyboard.press("n")
    page.wait_for_url("**?group=49")
    page.close()


def test_nobody_looked_for_duplicates(opened: Opened) -> None:
    page = opened("/collections/photos")
    page.get_by_role("link", name="Duplicates").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("No duplicates were looked for yet")
    expect(page.locator("main")).to_contain_text("spocdb duplicates find photos --distance")


def test_pictures_that_wait_are_told(looked: Looked, copied: Database) -> None:
    copied.connection.execute("UPDATE spocdb.images SET sha256 = sha256(sha256) WHERE id = 8")
    page = looked()
    expect(page.locator("p.notes")).to_contain_text("2 pictures were not compared since")


@pytest.mark.parametrize(
    ("scheme", "options"), [("light", {}), ("dark", PHONE)], ids=["desktop", "dark phone"]
)
def test_axe_finds_nothing_serious(
    looked: Looked, copied: Database, scheme: str, options: dict[str, Any]
) -> None:
    copied.review.keep({1: [3]})
    page = looked(color_scheme=scheme, **options)
    shows(page, "3 groups of 8 pictures, 1 rejected")
    for address in ("", "?group=1&with=4", "?group=1&with=3&view=difference"):
        page.goto(PAGE + address)
        if address:
            expect(page.locator("#facts table")).to_be_visible()
        else:
            expect(page.locator(".group")).to_have_count(3)
        page.locator(".hints summary").click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        found = Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == [], address


@pytest.mark.parametrize("width", [320, 768, 3840])
def test_it_fits_every_window(looked: Looked, width: int) -> None:
    page = looked("?group=1&with=4", viewport={"width": width, "height": 900})
    expect(page.locator("#facts table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.locator("#stage").bounding_box()
    assert box and box["width"] > 0.6 * min(width, 1000) and box["height"] > 200
    page.keyboard.press("Escape")
    expect(page.locator(".group")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
