"""Deciding about duplicates on the page: by keys and buttons, undone, only what was on screen."""

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import grey, shows
from tests.integration.web.page.reviewing import FIRST, PAGE, act, copy, groups, ready, rejected

Looked = Callable[..., Page]
# One group and no more, above the lower edge.
LOW = {"width": 1280, "height": 330}


def did(page: Page, text: str) -> None:
    """Wait until the page says what was done last."""
    expect(page.locator("#did")).to_have_text(text)


def test_reject_and_undo_by_keys(looked: Looked, copied: Database) -> None:
    page = looked("?group=1&with=3")
    ready(page)
    page.keyboard.press("x")
    # The next one that is not rejected is shown.
    page.wait_for_url("**with=4")
    assert groups(page)[1][3] == "rejected"
    shows(page, "3 groups of 8 pictures, 1 rejected")
    assert rejected(copied) == {3}
    page.keyboard.press("x")
    page.wait_for_url("**with=2")
    assert rejected(copied) == {3, 4}
    # The last one of the group: the next group is shown.
    page.keyboard.press("x")
    page.wait_for_url("**?group=5")
    assert rejected(copied) == {2, 3, 4}
    page.keyboard.press("u")
    page.wait_for_url("**group=1&with=2")
    page.keyboard.press("u")
    did(page, "Undone: Rejected 000003.jpg")
    page.keyboard.press("u")
    shows(page, "3 groups of 8 pictures")
    assert rejected(copied) == set()
    expect(page.locator("#undo")).to_be_disabled()
    # Nothing of it is left: the rule alone says what is kept.
    rows = copied.connection.execute("SELECT count(*) FROM spocdb.duplicate_choices").fetchone()
    assert rows == (0,)


def test_rejected_no_longer(looked: Looked, copied: Database) -> None:
    copied.review.keep({1: [3, 4]})
    page = looked("?group=1&with=3")
    act(page, "reject").click()
    did(page, "No longer rejected: <img src=x onerror=alert(1)>.jpg")
    expect(page.locator('#strip [data-id="3"] .word')).to_have_text("0.005")
    assert rejected(copied) == {4}
    page.keyboard.press("u")
    did(page, "Undone: No longer rejected: <img src=x onerror=alert(1)>.jpg")
    assert rejected(copied) == {3, 4}


def test_another_one_is_kept(looked: Looked, copied: Database) -> None:
    copied.review.keep({1: [3]})
    page = looked("?group=1&with=4")
    ready(page)
    page.keyboard.press("k")
    page.wait_for_url("**?group=4")
    # What was rejected stays so, beside the other keeper.
    found = {4: "kept", 3: "rejected", 1: "0.079", 2: "0.079"}
    assert groups(page)[4] == found
    assert [*groups(page)] == [4, 5, 7]
    assert rejected(copied) == {3}
    page.keyboard.press("u")
    page.wait_for_url("**?group=1&with=4")
    assert groups(page)[1] == FIRST | {3: "rejected"}
    assert copied.review.groups()[0].keeper.id == 1


def test_what_was_kept_is_not_rejected_with_a_file_of_its_bytes(
    looked: Looked, copied: Database
) -> None:
    copied.review.keep({1: [2, 3]})
    page = looked("?group=1&with=4")
    ready(page)
    page.keyboard.press("k")
    page.wait_for_url("**?group=4")
    assert groups(page)[4] == {4: "kept", 3: "rejected", 1: "0.079", 2: "0.079"}
    assert rejected(copied) == {3}
    page.keyboard.press("u")
    page.wait_for_url("**?group=1&with=4")
    assert rejected(copied) == {2, 3}


def test_undo_of_a_second_choice_leaves_no_rejection(looked: Looked, copied: Database) -> None:
    copied.review.keep({4: []})
    copied.review.keep({1: [3]})
    page = looked("?group=1&with=4")
    ready(page)
    page.keyboard.press("k")
    page.wait_for_url("**?group=4")
    assert rejected(copied) == {3}
    page.keyboard.press("u")
    page.wait_for_url("**?group=1&with=4")
    assert rejected(copied) == {3}
    # Nobody rejected anything beside 4.
    copied.review.keep({4: []})
    assert rejected(copied) == set()


def test_of_equal_files_the_rule_keeps_one(looked: Looked, copied: Database) -> None:
    page = looked("?group=1&with=2")
    ready(page)
    for name in ("keep", "same", "different", "keep both"):
        expect(act(page, name)).to_be_disabled()
    page.keyboard.press("k")
    expect(page.locator("#notes")).to_contain_text("the rule chooses one")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**with=1")
    expect(act(page, "reject")).to_be_disabled()
    page.keyboard.press("x")
    expect(page.locator("#notes")).to_contain_text("keep another one of the group first")
    assert rejected(copied) == set()


def test_different_and_same(looked: Looked, copied: Database) -> None:
    page = looked("?group=1&with=4")
    ready(page)
    page.keyboard.press("d")
    did(page, "000003.jpg: different")
    shows(page, "3 groups of 7 pictures")
    assert groups(page)[1] == {1: "kept", 2: "same bytes", 3: "0.005"}
    page.keyboard.press("u")
    did(page, "Undone: 000003.jpg: different")
    shows(page, "3 groups of 8 pictures")
    page.wait_for_url("**with=4")
    page.keyboard.press("s")
    did(page, "000003.jpg: same")
    assert groups(page)[1][4] == "0.000"
    page.keyboard.press("b")
    did(page, "000003.jpg: keep both")
    assert [one.verdict for one in copied.duplicates.decisions()] == ["keep both"]
    # It was decided to be the same before.
    page.keyboard.press("u")
    did(page, "Undone: 000003.jpg: keep both")
    assert [one.verdict for one in copied.duplicates.decisions()] == ["same"]
    page.keyboard.press("u")
    did(page, "Undone: 000003.jpg: same")
    assert copied.duplicates.decisions() == []


def test_a_group_that_is_no_more_makes_room_for_the_next(looked: Looked, copied: Database) -> None:
    page = looked("?group=5")
    ready(page)
    page.keyboard.press("d")
    page.wait_for_url("**?group=7")
    shows(page, "2 groups of 6 pictures")
    page.keyboard.press("u")
    page.wait_for_url("**?group=5&with=6")
    assert [*groups(page)] == [1, 5, 7]


def test_in_the_list_keys_mean_the_picture_in_focus(looked: Looked, copied: Database) -> None:
    page = looked()
    shows(page, "3 groups of 8 pictures")
    page.keyboard.press("x")
    page.keyboard.press("n")
    expect(copy(page, 1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(copy(page, 3)).to_be_focused()
    page.keyboard.press("x")
    shows(page, "3 groups of 8 pictures, 1 rejected")
    assert rejected(copied) == {3}
    expect(copy(page, 3)).to_be_focused()
    page.keyboard.press("n")
    expect(copy(page, 5)).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("d")
    shows(page, "2 groups of 6 pictures, 1 rejected")
    # The group is gone, and the one that took its place has the focus.
    expect(copy(page, 7)).to_be_focused()
    page.keyboard.press("u")
    shows(page, "3 groups of 8 pictures, 1 rejected")


def test_only_what_was_on_screen_is_rejected(looked: Looked, copied: Database) -> None:
    page = looked(viewport=LOW)
    button = page.locator("#reject-seen")
    expect(button).to_have_text("Reject 3 copies seen so far")
    page.mouse.move(600, 250)
    page.mouse.wheel(0, 190)
    expect(button).to_have_text("Reject 4 copies seen so far")
    button.click()
    did(page, "Rejected 4 pictures")
    assert rejected(copied) == {2, 3, 4, 6}
    expect(button).to_be_disabled()
    page.mouse.wheel(0, 2000)
    expect(button).to_have_text("Reject 1 copy seen so far")
    page.keyboard.press("u")
    did(page, "Undone: Rejected 4 pictures")
    expect(button).to_have_text("Reject 5 copies seen so far")
    assert rejected(copied) == set()


def test_a_picture_that_did_not_load_was_not_seen(looked: Looked, copied: Database) -> None:
    def prepare(context: BrowserContext) -> None:
        grey(context)
        context.route("**/images/3/thumbnail", lambda route: route.fulfill(status=404))

    page = looked(may_be_refused=True, prepare=prepare)
    expect(page.locator("#reject-seen")).to_have_text("Reject 4 copies seen so far")
    page.get_by_role("button", name="Reject the others: 000000.jpg").click()
    did(page, "Rejected 2 pictures")
    assert rejected(copied) == {2, 4}


def test_reject_the_others_goes_on(looked: Looked, copied: Database) -> None:
    page = looked("?group=5")
    ready(page)
    expect(act(page, "reject others")).to_be_enabled()
    page.keyboard.press("a")
    page.wait_for_url("**?group=7")
    expect(act(page, "reject others")).to_be_enabled()
    act(page, "reject others").click()
    # The last group of all stays.
    did(page, "Rejected 000007.jpg")
    page.wait_for_url("**?group=7")
    expect(page.locator('#strip [data-id="8"] .word')).to_have_text("rejected")
    assert rejected(copied) == {6, 8}


def test_what_others_did_meanwhile_is_told(looked: Looked, copied: Database) -> None:
    page = looked("?group=5", may_be_refused=True)
    ready(page)
    copied.delete(6)
    page.keyboard.press("x")
    expect(page.locator("#notes")).to_contain_text("has no image 6")
    assert rejected(copied) == set()


def test_a_second_key_is_not_taken_for_a_picture_that_is_not_shown_yet(
    looked: Looked, copied: Database
) -> None:
    page = looked("?group=1&with=3")
    ready(page)
    held: list[Route] = []
    page.route("**/review/keep", lambda route: held.append(route))
    with page.expect_request("**/review/keep"):
        page.keyboard.press("x")
    page.keyboard.press("x")
    held[0].continue_()
    page.wait_for_url("**with=4")
    did(page, "Rejected <img src=x onerror=alert(1)>.jpg")
    assert len(held) == 1 and rejected(copied) == {3}


def test_without_review_nothing_can_be_decided(
    opened: Opened, copied: Database, serve: Serving
) -> None:
    copied.review.keep({1: [3]})
    with serve(copied.engine) as client:
        page = opened(PAGE, base=str(client.base_url).rstrip("/"), prepare=grey)
        shows(page, "3 groups of 8 pictures, 1 rejected")
        assert groups(page)[1] == FIRST | {3: "rejected"}
        assert page.locator("main button:visible").count() == 0
        copy(page, 4).click()
        page.wait_for_url("**with=4")
        names = page.locator("main button:visible").all_inner_texts()
        assert [name for name in names if name] == ["Side by side", "Blink", "Difference"]
        for key in "kxsdbau":
            page.keyboard.press(key)
        page.get_by_text("Keys", exact=True).click()
        expect(page.locator(".hints")).to_contain_text("spocdb serve --review")
        page.close()
    assert rejected(copied) == {3} and copied.duplicates.decisions() == []
