"""A collection of many pictures: endless scrolling with few elements."""

from collections.abc import Callable, Iterator
from time import monotonic

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import grey, shows, tiles

N_IMAGES = 700
SMALL = {"width": 500, "height": 400}
# The window is full of tiles, but for the caption of the last row.
FILLED = """() => Math.max(
  ...[...document.querySelectorAll(".tile")].map(tile => tile.getBoundingClientRect().bottom)
) > innerHeight - 80"""
POSITIONS = "all => all.map(tile => Number(tile.getAttribute('aria-posinset')))"


@pytest.fixture
def many(db: Database, add_images: Callable[..., None], serve: Serving) -> Iterator[str]:
    """Return the address of a server of N_IMAGES rows, which have no files."""
    rng = np.random.default_rng(0)
    add_images(db.connection, rng.normal(size=(N_IMAGES, 32)).astype(np.float32))
    with serve(db.engine) as client:
        yield str(client.base_url).rstrip("/")


def positions(page: Page) -> list[int]:
    found: list[int] = tiles(page).evaluate_all(POSITIONS)
    return found


def test_every_picture_is_reached_and_few_are_elements(opened: Opened, many: str) -> None:
    page = opened("/", base=many, prepare=grey, viewport=SMALL)
    shows(page, f"{N_IMAGES} pictures")
    seen: set[int] = set()
    until = monotonic() + 120  # for a machine that does much else
    while N_IMAGES not in seen and monotonic() < until:
        # The pictures of this window are elements; the next page of them may come later.
        page.wait_for_function(FILLED)
        now = positions(page)
        seen |= {*now}
        # A window, and one above and below; the focus keeps one more.
        assert len(now) < 80
        assert now == sorted(now)
        page.evaluate("scrollBy(0, innerHeight)")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    assert seen == {*range(1, N_IMAGES + 1)}
    # Back at the top nothing is asked for again but pictures.
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator('.tile[aria-posinset="2"]')).to_be_visible()
    page.close()


def test_the_end_key_goes_on_through_all_pages(opened: Opened, many: str) -> None:
    page = opened("/", base=many, prepare=grey, viewport=SMALL)
    shows(page, f"{N_IMAGES} pictures")
    tiles(page).first.locator("a").focus()
    last = page.locator(f'.tile[aria-posinset="{N_IMAGES}"] a')
    for _ in range(20):
        page.keyboard.press("End")
        page.wait_for_load_state("networkidle")
        if last.count():
            break
    page.keyboard.press("End")
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    page.close()


def test_going_back_finds_the_same_place(opened: Opened, many: str) -> None:
    page = opened("/", base=many, prepare=grey, viewport=SMALL)
    shows(page, f"{N_IMAGES} pictures")
    page.evaluate("scrollTo(0, 3000)")
    tile = page.locator(".tile:nth-child(20)")
    expect(tile).to_be_attached()
    before = page.evaluate("scrollY")
    here = positions(page)
    page.evaluate("history.pushState(null, '', '?filter=a>1')")
    page.evaluate("dispatchEvent(new Event('popstate'))")
    expect(page.locator("#status")).to_have_text("0 pictures")
    page.go_back()
    shows(page, f"{N_IMAGES} pictures")
    assert page.evaluate("scrollY") == before
    # By now more may have been loaded below.
    assert {*here} <= {*positions(page)}
    page.close()


def test_failures_are_tiles_with_reasons(opened: Opened, many: str, db: Database) -> None:
    page = opened("/", base=many, prepare=grey)
    expect(page.get_by_role("link", name="failed")).to_have_count(0)
    db.connection.execute(
        """INSERT INTO spocdb.failures (collection_id, path, version, reason, message)
           SELECT id, '/photos/<b>broken</b>.jpg', '', 'unreadable', 'no <i>end</i> of image'
           FROM spocdb.collections"""
    )
    page.reload()
    page.get_by_role("link", name="1 failed").click()
    tile = page.locator(".failure")
    expect(tile).to_have_count(1)
    expect(tile.get_by_role("heading")).to_have_text("b>.jpg")
    expect(tile).to_contain_text("unreadable")
    expect(tile).to_contain_text("no <i>end</i> of image")
    page.close()


def test_filters_that_are_too_many_or_too_long_to_list_are_said(
    opened: Opened, many: str, db: Database
) -> None:
    db.connection.execute(
        """UPDATE spocdb.images SET metadata = (
               SELECT jsonb_object_agg(format('key %s', lpad(n::text, 2, '0')), id % 5)
               FROM generate_series(1, 60) n
           ) || jsonb_build_object(repeat('long ', 30), jsonb_build_array('a', id % 2),
                                   'kind', jsonb_build_array('b', repeat('x', 150) || id % 2))"""
    )
    page = opened('/collections/photos?filter="key 60">=1', base=many, prepare=grey)
    bar = page.locator("#facets")
    expect(bar.locator(".hint")).to_have_text("and 12 more keys")
    # A condition about a key that is not listed can be taken back, too.
    expect(bar.get_by_role("button", name='Remove the filter "key 60">=1')).to_be_visible()
    bar.get_by_role("button", name="kind").click()
    panel = page.locator(".sheet:popover-open")
    expect(panel.locator(".value")).to_have_count(3)
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")
    page.close()


def test_two_projections_side_by_side(opened: Opened, many: str, db: Database) -> None:
    before = db.describe().active.id
    db.pca.activate(db.pca.fit(dim=4))
    like = db.newest()[0].id
    page = opened(f"/collections/photos?like={like}", base=many, prepare=grey)
    shows(page, "60 pictures, nearest first")
    page.get_by_label("Compare with").select_option(str(before))
    page.wait_for_url(f"**beside={before}")
    own = [hit.id for hit in db.similar(like, 60)]
    other = [hit.id for hit in db.similar(like, 60, projection=before)]
    n_changed = len({*other} - {*own})
    assert 0 < n_changed < 60
    expect(page.locator("#changes")).to_have_text(f": {n_changed} entered, {n_changed} left")
    for list_, wanted, lacking in (("#grid", own, other), ("#other-grid", other, own)):
        drawn = page.locator(f"{list_} .tile")
        ids = drawn.evaluate_all("all => all.map(tile => Number(tile.dataset.id))")
        # Those near the window are elements.
        assert ids == wanted[: len(ids)]
        alone = page.locator(f"{list_} .is-alone")
        marked = alone.evaluate_all("all => all.map(tile => Number(tile.dataset.id))")
        assert marked == [id for id in ids if id not in lacking]
    page.go_back()
    expect(page.locator("#other")).to_be_hidden()
    page.close()
