"""Fill a database of a release with something in every table.

Only commands and SQL are used, so that this file does not depend on the library's modules.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from spocdb.db import embedded

SPOCDB = Path(sys.executable).with_name("spocdb")
N_PHOTOS, N_PRODUCTS = 8, 4
MINI = ("--extractor", "mini", "--size", "64", "-q")
# The folder of the photographs in the dump; the real one is temporary.
PLACE = "/srv/shop"


def dump_filled(folder: Path) -> str:
    """Fill an embedded database in `folder`, which also holds the photographs, and dump it."""
    photos = _photos(folder / "photos")
    psql = embedded.psql(folder)
    others = {name: value for name, value in os.environ.items() if not name.startswith("SPOCDB_")}
    environment = others | {"SPOCDB_DATA_DIR": str(folder)}

    def spocdb(*arguments: object, code: int = 0) -> str:
        command = [str(SPOCDB), *map(str, arguments)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == code, f"{command}: {ran.stderr}"
        return ran.stdout

    try:
        spocdb("db", "init")
        url = spocdb("db", "url").strip()
        (folder / "about.csv").write_text("path,kind\nphotos/0.jpg,shoe\nphotos/1.jpg,hat\n")
        spocdb("ingest", photos, *MINI, "--metadata", folder / "about.csv", code=3)
        spocdb("pca", "fit", "photos", "--dim", 4, "--activate", "-q")
        spocdb("index", "build", "-c", "photos", "-q")
        spocdb("map", "photos", "--method", "components", "-q")
        (folder / "pairs.csv").write_text("query,match\nphotos/0.jpg,photos/1.jpg\n")
        pairs = (folder / "pairs.csv", "--gallery", photos, "--dim", 4)
        spocdb("eval", "pairs", *pairs, *MINI, "--save")
        _sql(psql, url, _products(photos))
        spocdb("attach", "public.products", "--key", "id", "--image", "photo", *MINI,
               "--metadata", "name", "--where", "id < 100")  # fmt: skip
        spocdb("worker", "--once", "-q", code=3)
        _sql(psql, url, CHANGES)
        dump = [str(psql.with_name("pg_dump")), "--no-owner", "-d", url]
        text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    finally:
        embedded.stop(folder)
    # Lines that servers before 17, or psql before August 2025, do not know.
    text = re.sub(r"(?m)^(\\(un)?restrict|SET transaction_timeout) .*\n", "", text)
    return text.replace(str(folder), PLACE)


# One change is in the queue; the others are noted, but not queued yet.
CHANGES = """
UPDATE products SET photo = (SELECT photo FROM products WHERE id = 2) WHERE id = 1;
SELECT spocdb.take_in(s.collection_id) FROM spocdb.sources s;
INSERT INTO products SELECT 10, photo, 'new' FROM products WHERE id = 3;
DELETE FROM products WHERE id = 4;
"""


def _photos(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(N_PHOTOS):
        blobs = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(blobs).resize((48, 36), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i}.jpg", quality=50)
    (folder / "broken.jpg").write_text("no picture")
    return folder


def _products(photos: Path) -> str:
    rows = [(f"{n}", photos / f"{n - 1}.jpg") for n in range(1, N_PRODUCTS + 1)]
    rows.append(("9", photos / "broken.jpg"))
    values = ", ".join(f"({n}, '\\x{file.read_bytes().hex()}', 'shoe {n}')" for n, file in rows)
    return (
        "CREATE TABLE products (id integer PRIMARY KEY, photo bytea, name text);"
        f"INSERT INTO products VALUES {values}"
    )


def _sql(psql: Path, url: str, statements: str) -> None:
    command = [str(psql), "-Xq", "-v", "ON_ERROR_STOP=1", "-d", url]
    subprocess.run(command, input=statements, text=True, check=True, stdout=subprocess.DEVNULL)
