"""What a person sees of duplicates, in a few words."""

import numpy as np
from playwright.sync_api import Locator, Page, expect

from spocdb.records import Float32Array
from tests.fixtures.opened import Database

PAGE = "/collections/photos/duplicates"
NEAR = 0.2
# A name that is markup, in a group.
NAME = "<img src=x onerror=alert(1)>.jpg"
FIRST = {1: "kept", 2: "same bytes", 3: "0.005", 4: "0.079"}


def turned(by: float, axis: int = 0) -> Float32Array:
    """Return a descriptor at an angle from an axis, so its distance is 1 - cos."""
    row = np.zeros((1, 32), np.float32)
    row[0, axis : axis + 2] = np.cos(by), np.sin(by)
    return row.astype(np.float16).astype(np.float32)


def groups(page: Page) -> dict[int, dict[int, str]]:
    """Return of each group on the page what is said of its images."""
    found = page.locator(".group").evaluate_all(
        """all => all.map(row => [...row.querySelectorAll('.copy')].map(
             copy => [Number(copy.dataset.id), copy.querySelector('.word').textContent]))"""
    )
    return {int(row[0][0]): {int(id): word for id, word in row} for row in found}


def copy(page: Page, id: int) -> Locator:
    """Return the link of an image, in the list or in the strip of a group."""
    return page.locator(f'.copy[data-id="{id}"] a:visible')


def act(page: Page, name: str) -> Locator:
    return page.locator(f'#verdicts [data-act="{name}"]')


def ready(page: Page) -> None:
    """Wait until a group is shown by itself."""
    expect(page.locator('#strip [aria-current="true"]')).to_be_visible()


def rejected(db: Database) -> set[int]:
    return {one.id for group in db.review.groups() for one in group.others if one.is_rejected}
