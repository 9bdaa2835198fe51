"""The map as a page: drawn, zoomed until pictures show, clicked, shared by its address."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, expect

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import grey, ids, shows
from tests.integration.web.page.mapping import DRAWN, MAP, PHONE, WINDOW, draws_more, settled


def place_of(db: Database, page: Page, id: int) -> tuple[float, float]:
    """Return where an image is in the window while all is shown."""
    points = db.map_points("photos")
    box = page.locator("#map").bounding_box()
    assert box
    low, high = points.positions.min(axis=0), points.positions.max(axis=0)
    margin = min(48, 0.07 * min(box["width"], box["height"]))
    inner = np.array([box["width"], box["height"]]) - 2 * margin
    scale = (inner / (high - low)).min()
    (own,) = points.positions[points.ids == id]
    x, y = (own - (low + high) / 2) * scale
    return box["x"] + box["width"] / 2 + float(x), box["y"] + box["height"] / 2 - float(y)


def zoom_of(url: str) -> float:
    return float(parse_qs(urlsplit(url).query).get("zoom", ["1"])[0])


def farthest(db: Database) -> int:
    """Return the image that lies farthest from all others, which nothing hides."""
    points = db.map_points("photos")
    apart = np.linalg.norm(points.positions[:, None] - points.positions, axis=2)
    np.fill_diagonal(apart, np.inf)
    return int(points.ids[apart.min(axis=1).argmax()])


def test_the_collection_leads_to_its_map(opened: Opened, mapped: Database) -> None:
    page = opened("/collections/photos", viewport=WINDOW)
    page.get_by_role("link", name="Map", exact=True).click()
    settled(page)
    expect(page.locator(".state")).to_contain_text(
        "24 pictures, along the two directions in which they differ most"
    )
    page.get_by_role("link", name="Pictures", exact=True).click()
    shows(page, "24 pictures")


def test_a_click_finds_more_like_a_picture_and_back_shows_the_map(
    opened: Opened, mapped: Database
) -> None:
    wanted = farthest(mapped)
    page = opened(MAP, viewport=WINDOW)
    settled(page)
    page.mouse.move(*place_of(mapped, page, wanted))
    card = page.locator("#card")
    expect(card).to_be_visible()
    name = mapped.path(wanted, collection="photos").rpartition("/")[2]
    expect(card).to_have_text(name)
    page.mouse.click(*place_of(mapped, page, wanted))
    shows(page, "23 pictures, nearest first")
    assert parse_qs(urlsplit(page.url).query) == {"like": [str(wanted)]}
    near = [hit.id for hit in mapped.similar(wanted, 60, collection="photos")]
    assert ids(page) == near
    page.go_back()
    settled(page)


def test_zooming_in_shows_pictures_of_few_at_a_time(opened: Opened, crowd: str) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/thumbnail"):
            asked.append(request.url)

    page = opened(MAP, base=crowd, prepare=grey, viewport=WINDOW)
    page.on("request", note)
    settled(page)
    dots, _ = page.evaluate(DRAWN)
    box = page.locator("#map").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(7):
        page.mouse.wheel(0, -200)
    expect(page.locator("#status")).to_have_text(re.compile(r"^\d+ pictures? in view$"))
    draws_more(page, 2 * dots)
    shown = int(page.locator("#status").inner_text().split()[0])
    assert 0 < shown < 300
    assert 0 < len(set(asked)) <= 300


def test_the_address_says_what_is_shown(opened: Opened, mapped: Database) -> None:
    page = opened(MAP, viewport=WINDOW)
    settled(page)
    assert urlsplit(page.url).query == ""
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url("**/map?at=*&zoom=2.56")
    in_view = page.locator("#status").inner_text()
    assert re.fullmatch(r"\d+ pictures? in view", in_view)
    # It is moved by the mouse, and looks the same elsewhere. In one step: a slow machine would
    # write the address of each.
    before = page.url
    page.mouse.move(500, 400)
    page.mouse.down()
    page.mouse.move(420, 360)
    page.mouse.up()
    page.wait_for_function("before => location.href !== before", arg=before)
    other = opened(urlsplit(page.url)._replace(scheme="", netloc="").geturl(), viewport=WINDOW)
    expect(other.locator("#status")).to_have_text(page.locator("#status").inner_text())
    assert other.url == page.url
    page.get_by_role("button", name="Show all").click()
    page.wait_for_url(f"**{MAP}")
    settled(page)


@pytest.mark.parametrize("asked", ["?at=x,1&zoom=abc", "?at=1e99,-1e99&zoom=1e99", "?at=&zoom=-1"])
def test_an_address_of_nonsense_shows_a_map(opened: Opened, mapped: Database, asked: str) -> None:
    page = opened(MAP + asked, viewport=WINDOW)
    expect(page.locator("#status")).not_to_have_text("Loading")
    page.get_by_role("button", name="Show all").click()
    settled(page)


def test_zooming_stops_before_nothing_is_in_view(opened: Opened, mapped: Database) -> None:
    page = opened(MAP, viewport=WINDOW)
    settled(page)
    box = page.locator("#map").bounding_box()
    assert box
    # In the corner there is no picture.
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    for _ in range(20):
        page.mouse.wheel(0, -120)
    expect(page.locator("#status")).to_have_text(re.compile(r"^[1-9]\d* pictures? in view$"))


def test_by_keyboard_alone(opened: Opened, mapped: Database) -> None:
    page = opened(MAP, viewport=WINDOW)
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the map")).to_be_focused()
    page.keyboard.press("Enter")
    canvas = page.get_by_role("application", name="Map of photos")
    canvas.focus()
    # The picture in the middle has a card.
    expect(page.locator("#card")).to_be_visible()
    page.keyboard.press("+")
    page.wait_for_url("**zoom=1.6")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile(r"at=-?[\d.e-]+,"))
    page.keyboard.press("0")
    page.wait_for_url(f"**{MAP}")
    expect(page.locator("#card")).to_be_visible()
    page.keyboard.press("Enter")
    shows(page, "23 pictures, nearest first")
    liked = int(parse_qs(urlsplit(page.url).query)["like"][0])
    points = mapped.map_points("photos")
    middle = (points.positions.min(axis=0) + points.positions.max(axis=0)) / 2
    nearest = np.linalg.norm(points.positions - middle, axis=1).argmin()
    assert liked == points.ids[nearest]


def test_the_list_holds_the_pictures_near_the_middle(opened: Opened, mapped: Database) -> None:
    page = opened(MAP, viewport=WINDOW)
    settled(page)
    page.get_by_text("Pictures near the middle", exact=True).click()
    links = page.locator("#near a")
    expect(links).to_have_count(24)
    first = links.first
    points = mapped.map_points("photos")
    middle = (points.positions.min(axis=0) + points.positions.max(axis=0)) / 2
    nearest = int(points.ids[np.linalg.norm(points.positions - middle, axis=1).argmin()])
    name = mapped.path(nearest, collection="photos").rpartition("/")[2]
    expect(first.get_by_role("img")).to_have_attribute("alt", name)
    first.click()
    shows(page, "23 pictures, nearest first")
    assert parse_qs(urlsplit(page.url).query) == {"like": [str(nearest)]}


def test_in_a_low_window_the_list_can_be_scrolled_to(opened: Opened, mapped: Database) -> None:
    page = opened(MAP, viewport={"width": 740, "height": 360})
    settled(page)
    page.get_by_text("Pictures near the middle", exact=True).click()
    expect(page.locator("#near a")).to_have_count(24)
    page.locator("#near summary").hover()
    page.mouse.wheel(0, 2000)
    page.wait_for_function(
        "() => document.querySelector('#near ol').getBoundingClientRect().bottom <= innerHeight"
    )


def test_a_finger_sees_the_picture_before_it_opens_it(opened: Opened, mapped: Database) -> None:
    wanted = farthest(mapped)
    page = opened(MAP, **PHONE)
    settled(page)
    page.touchscreen.tap(*place_of(mapped, page, wanted))
    card = page.locator("#card")
    expect(card).to_be_visible()
    assert urlsplit(page.url).path == MAP
    card.tap()
    shows(page, "23 pictures, nearest first")
    assert parse_qs(urlsplit(page.url).query) == {"like": [str(wanted)]}


def test_two_fingers_zoom(opened: Opened, mapped: Database) -> None:
    page = opened(MAP, **PHONE)
    settled(page)
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[int, int]) -> None:
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (160, 400), (200, 400))
    touch("touchMove", (140, 400), (220, 400))
    touch("touchMove", (120, 400), (240, 400))
    touch("touchEnd")
    # On a slow machine the address follows between two moves, too.
    page.wait_for_url(lambda url: zoom_of(url) == pytest.approx(3, rel=0.05))
    expect(page.locator("#card")).to_be_hidden()


@pytest.mark.parametrize(
    ("scheme", "options"), [("light", {}), ("dark", PHONE)], ids=["desktop", "dark phone"]
)
def test_axe_finds_nothing_serious(
    opened: Opened, mapped: Database, scheme: str, options: dict[str, object]
) -> None:
    for address in (MAP, "/collections/others/map"):
        page = opened(address, color_scheme=scheme, **options)
        if address == MAP:
            settled(page)
            page.get_by_text("Pictures near the middle", exact=True).click()
            expect(page.locator("#near a")).to_have_count(24)
        found = Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == [], address


def test_dark_points_are_light(opened: Opened, crowd: str) -> None:
    light, dark = (
        opened(MAP, base=crowd, prepare=grey, viewport=WINDOW, color_scheme=scheme)
        for scheme in ("light", "dark")
    )
    settled(light)
    settled(dark)
    # Thumbnails are the same in both.
    assert 1.1 * light.evaluate(DRAWN)[1] < dark.evaluate(DRAWN)[1]


@pytest.mark.parametrize("width", [320, 3840])
def test_it_fills_every_window(opened: Opened, mapped: Database, width: int) -> None:
    page = opened(MAP, viewport={"width": width, "height": 900})
    settled(page)
    box = page.locator("#map").bounding_box()
    assert box and box["width"] == width and box["height"] > 500
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_copies_on_one_place_can_be_looked_at(
    opened: Opened, db: Database, add_images: Callable[..., None], serve: Serving
) -> None:
    for n in range(5):
        add_images(db.connection, np.eye(32, dtype=np.float32)[:1], first=n)
    db.map(method="components")
    with serve(db.engine) as client:
        page = opened(MAP, base=str(client.base_url).rstrip("/"), prepare=grey, viewport=WINDOW)
        settled(page)
        page.get_by_role("button", name="Zoom in").click()
        settled(page, 5)
        page.get_by_text("Pictures near the middle", exact=True).click()
        expect(page.locator("#near a")).to_have_count(5)
