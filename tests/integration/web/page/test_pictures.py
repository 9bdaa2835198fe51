"""Pictures that are brought in: the latest twenty are kept, and memory is freed."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.integration.web.conftest import blobs
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import DROP, bring, shows

PHOTOS = "/collections/photos"
FOUND = "24 pictures, nearest first"
KEPT = 20

# Counts the addresses of pictures in memory that were made and not given back.
COUNTED = """
window.inMemory = new Set();
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => {
  const made = createObjectURL.call(URL, blob);
  window.inMemory.add(made);
  return made;
};
URL.revokeObjectURL = (address) => {
  window.inMemory.delete(address);
  revokeObjectURL.call(URL, address);
};
"""
# As some private windows do.
NO_DATABASE = "indexedDB.open = () => { throw new DOMException('refused', 'SecurityError'); };"

STORED = """
() => new Promise((resolve) => {
  indexedDB.open("spocdb", 1).onsuccess = ({ target }) => {
    const pictures = target.result.transaction("pictures").objectStore("pictures");
    pictures.count().onsuccess = (counted) => resolve(counted.target.result);
  };
})
"""


def bring_all(page: Page, files: list[Path]) -> list[str]:
    """Search by each picture in turn; return the addresses of these states."""
    addresses = []
    for file in files:
        bring(page, DROP, file)
        expect(page.get_by_role("heading", name=file.name)).to_be_visible()
        shows(page, FOUND)
        addresses.append(page.url)
    return addresses


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return two pictures more than are kept."""
    made = [tmp_path / f"new-{n}.jpg" for n in range(KEPT + 2)]
    for n, file in enumerate(made):
        blobs(100 + n, (32, 24)).save(file)
    return made


@pytest.mark.parametrize("has_database", [True, False], ids=["stored", "in the tab"])
def test_the_latest_are_kept_and_earlier_states_say_what_is_missing(
    opened: Opened, files: list[Path], has_database: bool
) -> None:
    def prepare(context: BrowserContext) -> None:
        context.add_init_script(COUNTED + ("" if has_database else NO_DATABASE))

    page = opened(PHOTOS, prepare=prepare)
    shows(page, "24 pictures")
    addresses = bring_all(page, files)
    if has_database:
        assert page.evaluate(STORED) == KEPT
    # Only the picture that is shown is held.
    assert page.evaluate("window.inMemory.size") == 1
    # The third has outlasted the first two.
    for _ in range(len(files) - 3):
        page.go_back()
    page.wait_for_url(addresses[2])
    shows(page, FOUND)
    expect(page.get_by_role("heading", name="new-2.jpg")).to_be_visible()
    page.go_back()
    page.wait_for_url(addresses[1])
    expect(page.locator("#notes")).to_contain_text("Drop or choose the same picture")
    expect(page.locator("#query")).to_be_hidden()
    assert page.evaluate("window.inMemory.size") == 0
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose the picture").click()
    chooser.value.set_files(files[1])
    shows(page, FOUND)
    assert page.url == addresses[1]
    page.get_by_role("button", name="Clear", exact=True).click()
    shows(page, "24 pictures")
    assert page.evaluate("window.inMemory.size") == 0
