"""The page of projections: look, compare side by side, activate and roll back in review mode."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.fixtures.opened import Database
from tests.fixtures.waiting import WaitForLock
from tests.integration.web.conftest import Serving, blobs
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import DROP, bring, grey, shows
from tests.integration.web.page.test_access import PHONE

COLLECTION = "/collections/photos"
VERSIONS = f"{COLLECTION}/projections"


@pytest.fixture
def two(db: Database, add_images: Callable[..., None]) -> Database:
    """Return a database of rows without files; projection 1 is active, 2 only fitted."""
    rows = np.random.default_rng(0).normal(size=(50, 32)).astype(np.float32)
    add_images(db.connection, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    assert db.pca.fit("photos", dim=8) == 2
    return db


@pytest.fixture
def review(two: Database, serve: Serving) -> Iterator[str]:
    """Return the address of a server in review mode."""
    with serve(two.engine, is_review=True) as client:
        yield str(client.base_url).rstrip("/")


def active(page: Page) -> str:
    """Return the heading of the active projection."""
    return " ".join(page.locator(".version.is-active h2").inner_text().split())


def results(opened: Opened, base: str, like: int) -> list[int]:
    page = opened(f"{COLLECTION}?like={like}", base=base, prepare=grey)
    shows(page, "49 pictures, nearest first")
    found = page.locator("#grid .tile").evaluate_all("all => all.map(t => Number(t.dataset.id))")
    page.close()
    return [int(id) for id in found]


def test_activate_and_roll_back(opened: Opened, two: Database, review: str) -> None:
    like = two.newest()[0].id
    before = results(opened, review, like)
    page = opened(COLLECTION, base=review, prepare=grey)
    page.get_by_role("link", name="Projections").click()
    page.wait_for_url(f"**{VERSIONS}")
    assert active(page) == "Projection 1 active"
    page.get_by_role("button", name="Build and activate projection 2").click()
    expect(page.locator("#status")).to_have_text("Projection 2 is active")
    assert active(page) == "Projection 2 active"
    expect(page.locator("#projection-2 h2")).to_be_focused()
    assert two.describe().active.id == 2
    after = results(opened, review, like)
    assert after != before
    assert after == [hit.id for hit in two.similar(like, 60)][: len(after)]
    page.get_by_role("button", name="Roll back to projection 1").click()
    expect(page.locator("#status")).to_have_text("Projection 1 is active")
    assert results(opened, review, like) == before
    # Its embeddings are kept: this time nothing is built.
    expect(page.get_by_role("button", name="Activate projection 2", exact=True)).to_be_visible()
    page.close()


def test_what_is_known_of_each(opened: Opened, two: Database, serve: Serving) -> None:
    with serve(two.engine) as client:
        page = opened(VERSIONS, base=str(client.base_url).rstrip("/"))
        fitted = page.locator("#projection-2")
        expect(fitted).to_contain_text("PCA, whitened")
        names, values = (fitted.locator(tag).all_inner_texts() for tag in ("dt", "dd"))
        facts = dict(zip(names, values, strict=True))
        assert facts["Dimensions"] == "8"
        assert facts["Fitted on"] == "50 pictures of photos"
        assert facts["Embeddings"] == "none yet"
        total = two.pca.show(2)[1].explained.sum()
        drawing = fitted.get_by_role("img", name="Variance explained")
        expect(drawing).to_be_visible()
        assert f"8: {100 * total:.0f}\N{NO-BREAK SPACE}%" in str(
            drawing.get_attribute("aria-label")
        )
        expect(fitted.locator("figcaption")).to_contain_text("all 8 explain")
        # A server that only reads says how to change that, and offers nothing to press.
        assert page.locator("main button").count() == 0
        expect(page.locator("main")).to_contain_text("spocdb serve --review")
        page.close()


def test_a_change_under_way_is_told_and_others_wait(
    opened: Opened, two: Database, review: str, wait_for_lock: WaitForLock
) -> None:
    page = opened(VERSIONS, base=review)
    second = opened(VERSIONS, base=review, may_be_refused=True)
    with two.connection.transaction():
        two.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        press = page.get_by_role("button", name="Build and activate projection 2")
        press.click()
        expect(page.locator("#status")).to_contain_text("Searches go on")
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(press).to_be_disabled()
        # Not by `two.connection`: a transaction sees the other sessions as they were.
        with two.engine.connection() as looking:
            wait_for_lock(looking)
        # A page that was opened before is refused, one that is opened now waits, too.
        with second.expect_response("**/activate") as refused:
            second.get_by_role("button", name="Build and activate projection 2").click()
        assert refused.value.status == 409
        expect(second.locator("#notes")).to_contain_text("another projection is being activated")
        third = opened(VERSIONS, base=review)
        expect(third.get_by_role("progressbar")).to_be_visible()
        expect(third.get_by_role("button", name="Build and activate projection 2")).to_be_disabled()
    for waiting in (page, third):
        expect(waiting.locator("#status")).to_have_text("Projection 2 is active")
        assert active(waiting) == "Projection 2 active"
    for one in (page, second, third):
        one.close()


def test_answers_that_fail_meanwhile_end_nothing(
    opened: Opened, two: Database, review: str, wait_for_lock: WaitForLock
) -> None:
    page = opened(VERSIONS, base=review, may_be_refused=True)
    failures: list[str] = []

    def fail_twice(route: Route) -> None:
        if len(failures) == 2:
            return route.continue_()
        failures.append(route.request.url)
        return route.abort()

    page.route("**/change", fail_twice)
    with two.connection.transaction():
        two.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        page.get_by_role("button", name="Build and activate projection 2").click()
        with two.engine.connection() as looking:
            wait_for_lock(looking)
        with page.expect_response("**/change"):
            pass
        assert len(failures) == 2
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.locator("#notes")).to_be_empty()
    expect(page.locator("#status")).to_have_text("Projection 2 is active")
    page.close()


def test_a_server_that_was_started_again_knows_of_no_change(
    opened: Opened, two: Database, review: str, wait_for_lock: WaitForLock
) -> None:
    page = opened(VERSIONS, base=review)
    page.route(
        "**/change", lambda route: route.fulfill(body="null", content_type="application/json")
    )
    with two.connection.transaction():
        two.connection.execute("SELECT FROM spocdb.collections FOR UPDATE")
        page.get_by_role("button", name="Build and activate projection 2").click()
        with two.engine.connection() as looking:
            wait_for_lock(looking)
        expect(page.locator("#notes")).to_contain_text("The server was started again meanwhile")
        assert active(page) == "Projection 1 active"
    page.close()


def test_a_rollback_to_what_is_no_longer_previous_is_refused(
    opened: Opened, two: Database, review: str
) -> None:
    two.pca.activate(2)
    page = opened(VERSIONS, base=review, may_be_refused=True)
    two.pca.activate(two.pca.fit(dim=3))
    page.get_by_role("button", name="Roll back to projection 1").click()
    expect(page.locator("#notes")).to_contain_text("the previous projection of photos is 2 by now")
    assert (active(page), two.describe().active.id) == ("Projection 3 active", 3)
    # The list was drawn again.
    expect(page.get_by_role("button", name="Roll back to projection 2")).to_be_enabled()
    page.close()


def test_a_refusal_is_shown(opened: Opened, two: Database, review: str) -> None:
    page = opened(VERSIONS, base=review, may_be_refused=True)
    two.pca.drop(2)
    page.get_by_role("button", name="Build and activate projection 2").click()
    expect(page.locator("#notes")).to_contain_text("there is no projection 2")
    page.close()


def test_the_link_to_compare(opened: Opened, two: Database, review: str) -> None:
    two.pca.activate(2)
    page = opened(VERSIONS, base=review, prepare=grey)
    page.get_by_role("link", name="Compare side by side").click()
    page.wait_for_url(f"**like={two.newest()[0].id}&beside=1")
    expect(page.locator("#changes")).to_contain_text("entered")
    expect(page.locator("#other-grid .tile").first).to_be_visible()
    page.close()


def test_two_extractors_side_by_side(
    opened: Opened,
    db: Database,
    serve: Serving,
    photos: Path,
    picture: Path,
    recipe: dict[str, Any],
) -> None:
    db.ingest(photos, collection="photos", **recipe)
    before = db.describe().active.id
    db.reembed("mini", size=96)
    like = db.newest()[0].id
    with serve(db.engine) as client:
        page = opened(f"{COLLECTION}?like={like}", base=str(client.base_url).rstrip("/"))
        shows(page, "23 pictures, nearest first")
        choice = page.get_by_label("Compare with")
        extractor = next(v.extractor for v in db.pca.versions() if v.number == before)
        expect(choice.locator("option").nth(1)).to_contain_text(extractor)
        choice.select_option(str(before))
        page.wait_for_url(f"**beside={before}")
        other = page.locator("#other-grid .tile")
        expect(other).to_have_count(23)

        def found() -> list[int]:
            return [int(i) for i in other.evaluate_all("all => all.map(t => t.dataset.id)")]

        assert found() == [hit.id for hit in db.similar(like, 60, projection=before)]
        # A new picture passes through both networks, and is compared like a stored one.
        bring(page, DROP, picture)
        shows(page, "24 pictures, nearest first")
        expect(other).to_have_count(24)
        data = picture.read_bytes()
        assert found() == [hit.id for hit in db.search(data, 60, projection=before)]
        page.close()
        # A picture that came after the change is not among what the extractor before finds.
        blobs(99).save(photos.parent / "late.jpg")
        db.ingest(photos.parent / "late.jpg", collection="photos")
        late = db.newest()[0].id
        address = f"{COLLECTION}?like={late}&beside={before}"
        page = opened(address, base=str(client.base_url).rstrip("/"), may_be_refused=True)
        shows(page, "24 pictures, nearest first")
        expect(page.locator("#notes")).to_contain_text(
            f"no image {late} embedded by projection {before}"
        )
        page.close()


def test_another_projection_that_is_gone_hides_no_result(
    opened: Opened, two: Database, review: str
) -> None:
    address = f"{COLLECTION}?like={two.newest()[0].id}&beside=2"
    page = opened(address, base=review, prepare=grey, may_be_refused=True)
    shows(page, "49 pictures, nearest first")
    expect(page.locator("#notes")).to_contain_text("no embeddings by projection 2")
    page.close()


@pytest.mark.parametrize(
    ("scheme", "options"), [("light", {}), ("dark", PHONE)], ids=["desktop", "dark phone"]
)
def test_axe_finds_nothing_serious(
    opened: Opened, two: Database, review: str, scheme: str, options: dict[str, Any]
) -> None:
    two.pca.activate(2)
    page = opened(VERSIONS, base=review, color_scheme=scheme, **options)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []
    page.close()
