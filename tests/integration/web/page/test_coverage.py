"""How far an attached table is embedded, while workers embed it."""

import re
from typing import Any

from playwright.sync_api import expect

from tests.integration.web.conftest import Serving
from tests.integration.web.page.conftest import Opened
from tests.integration.web.page.looking import shows


def test_the_counts_move_while_a_worker_embeds(opened: Opened, shop: Any, serve: Serving) -> None:
    shop.attach()
    (n,) = shop.execute("SELECT count(*) FROM products WHERE photo IS NOT NULL").fetchone()
    with serve(shop.db.engine) as client:
        base = str(client.base_url).rstrip("/")
        page = opened("/collections/products", base=base)
        coverage = page.locator("#coverage")
        shows(page, "0 pictures")
        expect(coverage).to_have_text(f"0 of {n} embedded")
        assert coverage.evaluate("shown => shown.style.getPropertyValue('--part')") == "0"
        shop.work()
        shop.execute("INSERT INTO products (id, photo) SELECT 100 + id, photo FROM products")
        # Without a reload: the page asks again every few seconds.
        expect(coverage).to_have_text(f"{n} of {2 * n} embedded", timeout=15_000)
        assert coverage.evaluate("shown => shown.style.getPropertyValue('--part')") == "0.5"
        shop.work()
        expect(coverage).to_be_hidden(timeout=15_000)
        page.reload()
        expect(page.locator("#status")).to_have_text(re.compile("pictures"))
        page.close()
