"""Results and filters: where distances jump, values that are too many to list, and trying again."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import FloatRect, Page, Route, expect
from psycopg.types.json import Jsonb

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import chosen, grey, ids, shows, tiles
from tests.integration.web.page.test_grid import SMALL

PHOTOS = "/collections/photos"
N_IMAGES, N_ALIKE = 240, 4
NAMES = ["a.b", "A.B cup", "axb", *(f"mug {n}" for n in range(40))]


@pytest.fixture
def shown(db: Database, add_images: Callable[..., None], serve: Serving) -> Iterator[str]:
    """Return the address of a server of rows without files; the first N_ALIKE look alike."""
    rows = np.random.default_rng(0).normal(size=(N_IMAGES, 64)).astype(np.float32)
    rows[1:N_ALIKE] = rows[0] + 0.1 * rows[1:N_ALIKE]
    add_images(db.connection, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    found = db.connection.execute("SELECT id FROM spocdb.images ORDER BY id").fetchall()
    for n, (id,) in enumerate(found):
        statement = "UPDATE spocdb.images SET metadata = %s WHERE id = %s"
        db.connection.execute(statement, [Jsonb({"name": NAMES[n % len(NAMES)]}), id])
    with serve(db.engine) as client:
        yield str(client.base_url).rstrip("/")


def box(page: Page, n: int) -> FloatRect:
    found = tiles(page).nth(n).bounding_box()
    assert found
    return found


def test_a_line_where_distances_jump(opened: Opened, db: Database, shown: str) -> None:
    like = db.newest(limit=N_IMAGES)[-1].id
    near = [hit.distance for hit in db.similar(like, N_ALIKE)]
    page = opened(f"{PHOTOS}?like={like}", base=shown, prepare=grey)
    shows(page, "60 pictures, nearest first")
    line = page.locator(".jump")
    expect(line).to_have_text(f"Distance jumps from {near[-2]:.3f} to {near[-1]:.3f}")
    # It lies between those that look alike and the others, which begin a row of their own.
    before, after = box(page, N_ALIKE - 2), box(page, N_ALIKE - 1)
    drawn = line.bounding_box()
    assert drawn
    assert before["y"] + before["height"] <= drawn["y"]
    assert drawn["y"] + drawn["height"] <= after["y"] + after["height"] - 34
    assert after["x"] == box(page, 0)["x"]
    assert "Distance jumps" in tiles(page).nth(N_ALIKE - 1).inner_text()
    # The newest pictures have no distances.
    page.get_by_role("button", name="Clear", exact=True).click()
    shows(page, f"{N_IMAGES} pictures")
    expect(line).to_have_count(0)
    page.close()


def test_values_too_many_to_list_are_searched(opened: Opened, db: Database, shown: str) -> None:
    page = opened(PHOTOS, base=shown, prepare=grey)
    chosen(page, "name").click()
    field = page.get_by_label(f"Contains, of {len(NAMES)} values")
    # The dot is a dot, and case does not matter.
    field.fill("a.b")
    field.press("Enter")
    wanted = db.newest([("name", "in", ["a.b", "A.B cup"])], limit=1000)
    shows(page, f"{len(wanted)} pictures")
    assert ids(page) == [image.id for image in wanted]
    expect(chosen(page, "name")).to_contain_text("“a.b”")
    page.reload()
    shows(page, f"{len(wanted)} pictures")
    chosen(page, "name").click()
    expect(field).to_have_value("a.b")
    field.fill("")
    page.get_by_role("button", name="Apply").click()
    shows(page, f"{N_IMAGES} pictures")
    page.close()


def test_a_search_that_failed_is_tried_again(opened: Opened, db: Database, shown: str) -> None:
    like = db.newest()[0].id
    page = opened(PHOTOS, base=shown, prepare=grey, may_be_refused=True)
    shows(page, f"{N_IMAGES} pictures")
    page.route("**/similar?*", lambda route: route.abort())
    tiles(page).first.locator("a").click()
    expect(page.locator("#notes")).to_contain_text("The server does not answer")
    shows(page, "Nothing to show")
    assert tiles(page).count() == 0
    page.unroute("**/similar?*")
    page.get_by_role("button", name="Try again").click()
    shows(page, "60 pictures, nearest first")
    expect(page.locator("#notes")).to_be_empty()
    own = ids(page)
    assert own == [hit.id for hit in db.similar(like, 60)][: len(own)]
    page.close()


def test_further_pictures_that_failed_are_tried_again(opened: Opened, shown: str) -> None:
    def refuse(route: Route) -> None:
        problem = '{"detail": "the database is busy"}'
        route.fulfill(status=503, body=problem, content_type="application/problem+json")

    page = opened(PHOTOS, base=shown, prepare=grey, viewport=SMALL, may_be_refused=True)
    shows(page, f"{N_IMAGES} pictures")
    page.route("**/images?*before=*", refuse)
    tiles(page).first.locator("a").focus()
    page.keyboard.press("End")
    expect(page.locator("#notes")).to_contain_text("the database is busy")
    page.unroute("**/images?*before=*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#notes")).to_be_empty()
    page.locator('#grid a[tabindex="0"]').focus()
    last = page.locator(f'.tile[aria-posinset="{N_IMAGES}"] a')
    for _ in range(5):
        page.keyboard.press("End")
        page.wait_for_load_state("networkidle")
    expect(last).to_be_focused()
    page.close()
