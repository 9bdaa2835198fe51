"""Answers about a map that come late, or fail at first."""

import re
from collections import Counter

from playwright.sync_api import Route, expect

from tests.fixtures.opened import Database
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import grey
from tests.integration.web.page.mapping import MAP, WINDOW, draws_more, settled

# What a picture is called.
NAMES = re.compile(r"/api/v1/images/\d+$")
HREFS = "all => all.map(link => link.href)"


def test_a_slow_answer_about_earlier_pictures_changes_no_list(opened: Opened, crowd: str) -> None:
    page = opened(MAP, base=crowd, prepare=grey, viewport=WINDOW)
    settled(page)
    held: list[Route] = []
    is_holding = True

    def hold(route: Route) -> None:
        if is_holding:
            held.append(route)
        else:
            route.continue_()

    page.route(NAMES, hold)
    with page.expect_request(NAMES):
        page.get_by_text("Pictures near the middle", exact=True).click()
    is_holding = False
    page.locator("#map").focus()
    # Each step is seen in the address: then the list is asked for, too.
    for _ in range(2):
        before = page.url
        page.keyboard.press("ArrowRight")
        page.wait_for_function("before => location.href !== before", arg=before)
    for route in held:
        with page.expect_response(route.request.url):
            route.continue_()
    # Opened anew at the same address, no answer is late.
    other = opened(page.url, base=crowd, prepare=grey, viewport=WINDOW)
    draws_more(other, 0)
    other.get_by_text("Pictures near the middle", exact=True).click()
    expect(other.locator("#near a")).to_have_count(24)
    wanted = other.locator("#near a").evaluate_all(HREFS)
    assert page.locator("#near a").evaluate_all(HREFS) == wanted


def test_a_name_that_did_not_come_is_asked_for_again(opened: Opened, mapped: Database) -> None:
    page = opened(MAP, viewport=WINDOW, may_be_refused=True)
    settled(page)
    page.route(NAMES, lambda route: route.abort())
    listed = page.get_by_text("Pictures near the middle", exact=True)
    listed.click()
    first = page.locator("#near img").first
    expect(first).to_have_attribute("alt", re.compile(r"^picture \d+$"))
    page.unroute(NAMES)
    listed.click()
    listed.click()
    expect(first).to_have_attribute("alt", re.compile(r"\.jpg$"))


def test_a_name_whose_question_fails_while_it_is_wanted_anew_is_asked_for_again(
    opened: Opened, mapped: Database
) -> None:
    page = opened(MAP, viewport=WINDOW, may_be_refused=True)
    settled(page)
    held: list[Route] = []
    is_over = False
    page.route(NAMES, lambda route: route.continue_() if is_over else held.append(route))
    listed = page.get_by_text("Pictures near the middle", exact=True)
    with page.expect_request(NAMES):
        listed.click()
    # The list takes room from the map, and is asked for once more when that has settled.
    page.wait_for_timeout(1000)
    listed.click()
    listed.click()
    is_over = True
    for route in held:
        route.abort()
    first = page.locator("#near img").first
    expect(first).to_have_attribute("alt", re.compile(r"\.jpg$"))


def test_thumbnails_that_fail_for_a_moment_are_asked_for_again(
    opened: Opened, mapped: Database
) -> None:
    asked: Counter[str] = Counter()

    def answer(route: Route) -> None:
        url = route.request.url
        asked[url] += 1
        if url == next(iter(asked)):
            route.fulfill(status=404)
        elif asked[url] == 1:
            route.fulfill(status=503)
        else:
            route.continue_()

    page = opened(
        MAP,
        viewport=WINDOW,
        may_be_refused=True,
        prepare=lambda context: context.route("**/thumbnail", answer),
    )
    with page.expect_response(lambda found: found.url.endswith("/thumbnail") and found.ok):
        settled(page)
    # Drawn pictures are more than dots.
    draws_more(page, 3000)
    gone, *others = asked
    assert asked[gone] == 1
    assert max(asked[url] for url in others) == 2
