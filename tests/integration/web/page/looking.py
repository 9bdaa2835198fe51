"""What a person sees and does on a page, in a few words."""

import base64
import re
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect

DROP = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const options = { bubbles: true, cancelable: true };
  for (const kind of ["dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { ...options, dataTransfer: carried }));
  }
}"""
PASTE = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: "image/jpeg" }));
  document.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData: carried }));
}"""


def bring(page: Page, how: str, file: Path) -> None:
    """Drop or paste a file."""
    page.evaluate(how, [base64.b64encode(file.read_bytes()).decode(), file.name])


def tiles(page: Page) -> Locator:
    return page.locator("#grid .tile")


def ids(page: Page) -> list[int]:
    """Return the ids of the tiles, in the order of the page."""
    found = tiles(page).evaluate_all("all => all.map(tile => Number(tile.dataset.id))")
    return [int(id) for id in found]


def shows(page: Page, text: str) -> None:
    """Wait until the line above the grid says so."""
    expect(page.locator("#status")).to_have_text(text)


def chosen(page: Page, key: str) -> Locator:
    """Return the chip of a key, which opens its values."""
    return page.locator(f'.facet[data-key="{key}"] .chip')


def value(page: Page, text: str) -> Locator:
    """Return the box of a value in an open panel."""
    row = page.locator(".value:visible").filter(has=page.get_by_text(text, exact=True))
    return row.get_by_role("checkbox")


def statement(page: Page) -> str:
    """Open the SQL of what is shown, and return it."""
    page.get_by_role("button", name="SQL").click()
    shown = page.locator("#statement")
    expect(shown).to_contain_text("SELECT")
    return shown.inner_text()


FOUND = re.compile(r"\d+ pictures?, nearest first")


def grey(context: BrowserContext) -> None:
    """Answer for the files that do not exist."""
    picture = BytesIO()
    Image.new("RGB", (40, 30), "grey").save(picture, "webp")
    for address in ("**/thumbnail", "**/picture"):
        context.route(
            address,
            lambda route: route.fulfill(body=picture.getvalue(), content_type="image/webp"),
        )
