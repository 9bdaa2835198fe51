"""The grid of the page at 100,000 images in a real Chromium, beside a plain page of 1,000.

The plain page (`benchmarks/plain_page.py`) is what one writes instead: an `<img loading=lazy>` for
each of the newest 1,000 rows.
"""

import shutil
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from io import BytesIO
from itertools import cycle, islice

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.record import Figure
from benchmarks.serving import started
from spocdb.api import Database
from spocdb.bench.pictures import photograph
from spocdb.db import collections, projections
from spocdb.db.batch import Batch
from spocdb.db.writing import make_staging, write
from spocdb.features.projection import project
from spocdb.features.recipes import make_recipe
from spocdb.images.signatures import signature
from spocdb.images.thumbnails import encoded, reduced
from spocdb.records import ImageRef, NewDescriptor, SmallPicture

NAME, CHANNELS, BATCH = "grid", 8, 5000
# Different pictures; the rows share them.
N_PICTURES, N_OPENED = 300, 9
PEER = "plain page of 1,000"
WINDOW = {"width": 1280, "height": 800}

# The time of the first frame with a thumbnail: it was loaded and decoded, and one frame was drawn.
PAINTED = """
window.firstPainted = new Promise((resolve) => {
  const drawn = () => requestAnimationFrame(() => requestAnimationFrame(resolve));
  const isSeen = (image) =>
    image.matches?.("img[src*=thumbnail]") && image.getBoundingClientRect().top < innerHeight;
  const onLoad = ({ target }) => isSeen(target) && target.decode().then(drawn);
  document.addEventListener("load", onLoad, true);
});
"""
# Jumps to the end of the list until a picture is an element; returns the seconds.
REACH = """async (number) => {
  const began = performance.now();
  const positions = () =>
    [...document.querySelectorAll("#grid .tile")].map((tile) => Number(tile.ariaPosInSet));
  while (Math.max(...positions()) < number) {
    scrollTo(0, document.documentElement.scrollHeight);
    await new Promise(requestAnimationFrame);
  }
  return (performance.now() - began) / 1000;
}"""


def run(db: Database, n_rows: int) -> list[Figure]:
    """Measure the first picture in turns with the peer, then scroll through all images."""
    _fill(db, n_rows)
    ours = [sys.executable, "-m", "spocdb", "serve", "--db", db.url, "--port"]
    theirs = [sys.executable, "-m", "benchmarks.plain_page", db.url, NAME]
    with started(ours) as port, started(theirs) as peer_port, _chromium() as browser:
        own, peer = (
            f"http://127.0.0.1:{port}/collections/{NAME}",
            f"http://127.0.0.1:{peer_port}/",
        )
        taken: dict[str, list[float]] = {own: [], peer: []}
        for address, _ in islice(cycle(taken.items()), 2 * N_OPENED):
            taken[address].append(_first_picture(browser, address))
        first = {address: statistics.median(times[1:]) for address, times in taken.items()}
        with _opened(browser, peer) as page:
            beside = _Scale(page).read()
        return [
            Figure(f"first picture of {n_rows:,}, p50", first[own], "ms", first[peer], PEER),
            *_through(browser, own, n_rows, beside),
        ]


def _through(browser: Browser, address: str, n_rows: int, peer: dict[str, float]) -> list[Figure]:
    """Scroll to half of the images and to the end; weigh the tab before, between and after."""
    figures, tenth = [], n_rows // 10
    with _opened(browser, address) as page:
        scale = _Scale(page)

        def weigh(where: str) -> None:
            found = scale.read()
            for name, unit in (("heap", "MB"), ("page", "nodes")):
                figures.append(Figure(f"{name} {where}", found[name], unit, peer[name], PEER))

        def scroll(until: int) -> tuple[float, float]:
            """Return the seconds, and those in which the page's own thread was busy."""
            busy = scale.read()["busy"]
            return page.evaluate(REACH, until), scale.read()["busy"] - busy

        weigh("at the start")
        first = scroll(tenth)
        scroll(n_rows // 2)
        weigh(f"after {n_rows // 2:,}")
        scroll(n_rows - tenth)
        last = scroll(n_rows)
        weigh(f"after {n_rows:,}")
    return [
        *figures,
        Figure("scrolling the last tenth", last[0], "s", first[0], "the first"),
        Figure("scrolling the last tenth, busy", last[1], "s", first[1], "the first"),
    ]


def _fill(db: Database, n_rows: int) -> None:
    """Make a collection of files that do not exist, with thumbnails."""
    with db.engine.connection() as connection:
        recipe = make_recipe("squeezenet1_1", "0" * 64)
        target = collections.create(connection, NAME, recipe, CHANNELS)
        load = cache(partial(projections.load, connection))
        make_staging(connection)
        pictures = [_small(number) for number in range(N_PICTURES)]
        rng = np.random.default_rng(0)
        for begin in range(0, n_rows, BATCH):
            images, new = [], {}
            for number in range(begin, min(begin + BATCH, n_rows)):
                sha256 = rng.bytes(32)
                images.append((ImageRef(f"/{NAME}/{number:08}.jpg", f"{number}"), sha256))
                size, small = pictures[number % N_PICTURES]
                raw = rng.normal(size=CHANNELS).astype(np.float16).astype(np.float32)
                new[sha256] = NewDescriptor(*size, raw / np.linalg.norm(raw), small)
            batch = Batch(images, new)
            write(connection, target, batch, lambda n, rows: project(rows, load(n)))
        connection.execute("ANALYZE")


def _small(number: int) -> tuple[tuple[int, int], SmallPicture]:
    """Return the size of a picture, upright or wide or square, and its thumbnail."""
    with Image.open(BytesIO(photograph(number))) as whole:
        size = [(1024, 768), (576, 768), (768, 768)][number % 3]
        part = whole.convert("RGB").crop((0, 0, *size))
        small = reduced(part)
        return size, SmallPicture(encoded(small), signature(small))


def program() -> str | None:
    """Return where the browser is, if there is one."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox refuses to run as root. Without the option the size of the heap is rounded.
        arguments = ["--no-sandbox", "--enable-precise-memory-info"]
        with playwright.chromium.launch(executable_path=program(), args=arguments) as browser:
            yield browser


@contextmanager
def _opened(browser: Browser, address: str) -> Iterator[Page]:
    """Open an address in a window with an empty cache; wait for its first thumbnail."""
    with browser.new_context(viewport=WINDOW) as context:  # type: ignore[arg-type]
        context.set_default_timeout(600_000)
        page = context.new_page()
        page.add_init_script(PAINTED)
        page.goto(address)
        page.evaluate("firstPainted")
        yield page


def _first_picture(browser: Browser, address: str) -> float:
    """Return the milliseconds from the navigation to the first thumbnail on the screen."""
    with _opened(browser, address) as page:
        return float(page.evaluate("firstPainted"))


class _Scale:
    """Weighs a page, from when it was opened."""

    def __init__(self, page: Page) -> None:
        self._page, self._session = page, page.context.new_cdp_session(page)
        # Counts the processor time of the page's thread from here on.
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read(self) -> dict[str, float]:
        """Return the heap's megabytes without garbage, the nodes, the thread's seconds so far."""
        self._page.wait_for_load_state("networkidle")
        self._session.send("HeapProfiler.collectGarbage")
        found = self._session.send("Performance.getMetrics")["metrics"]
        metrics = {one["name"]: one["value"] for one in found}
        return {
            "heap": metrics["JSHeapUsedSize"] / 1e6,
            "page": metrics["Nodes"],
            "busy": metrics["TaskDuration"],
        }
