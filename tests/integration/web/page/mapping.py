"""What a person sees of a map, in a few words."""

import re

from playwright.sync_api import Page, expect

MAP = "/collections/photos/map"
WINDOW = {"width": 1000, "height": 800}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
# How many pixels of the canvas are drawn, and how bright they are on average.
DRAWN = """() => {
  const canvas = document.querySelector("#map");
  const copy = Object.assign(document.createElement("canvas"), {
    width: canvas.width, height: canvas.height,
  });
  const target = copy.getContext("2d", { willReadFrequently: true });
  target.drawImage(canvas, 0, 0);
  const { data } = target.getImageData(0, 0, copy.width, copy.height);
  const drawn = [...data.keys()].filter((at) => at % 4 === 0 && data[at + 3] > 100);
  return [drawn.length, drawn.reduce((sum, at) => sum + data[at], 0) / drawn.length];
}"""


def settled(page: Page, n: int | None = None) -> None:
    """Wait until the map is drawn, and says how many pictures are in view."""
    said = re.compile(r"^$") if n is None else f"{n:,} picture{'' if n == 1 else 's'} in view"
    expect(page.locator("#status")).to_have_text(said)
    draws_more(page, 0)


def draws_more(page: Page, least: int) -> None:
    """Wait until more than so many pixels of the map are drawn."""
    page.wait_for_function(f"least => ({DRAWN})()[0] > least", arg=least)
