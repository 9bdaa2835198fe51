"""Tables that were attached before conditions were judged, through the upgrade that judges them."""

from typing import Any

import pytest

from spocdb.db import schema
from spocdb.errors import SourceBroken


def test_an_upgrade_judges_the_conditions_that_there_are(stocked: Any) -> None:
    url = stocked.db.url
    stocked.attach(collection="again", condition="id > 0")
    schema.downgrade(url, "0006")
    stocked.execute(
        "UPDATE spocdb.sources s SET condition = 'lo_create(4711) > 0' "
        "FROM spocdb.collections c WHERE c.id = s.collection_id AND c.name = 'again'"
    )
    schema.upgrade(url)
    stocked.execute("INSERT INTO products VALUES (7, '0000.jpg', 'new')")
    stocked.db.tables.work("products", once=True)
    assert stocked.found() == ["1", "2", "3", "4", "5", "6", "7"]
    with pytest.raises(SourceBroken, match=r"its condition was judged .* or never"):
        stocked.db.tables.work("again", once=True)
    assert stocked.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)
    stocked.attach(collection="again", condition="id > 5")
    stocked.work()
    assert stocked.found("again") == ["6", "7"]


def test_a_downgrade_gives_back_what_older_programs_call(stocked: Any) -> None:
    url = stocked.db.url
    schema.downgrade(url, "0006")
    public = "SELECT has_function_privilege('public', f, 'EXECUTE') FROM unnest(%s::text[]) f"
    functions = ["spocdb.target(text)", "spocdb.project(vector, bigint)"]
    assert stocked.execute(public, [functions]).fetchall() == [(True,), (True,)]
    stocked.execute("UPDATE products SET photo = '0003.jpg' WHERE id = 1")
    assert stocked.execute("SELECT spocdb.take_in(1)").fetchone() == (1,)
    keys = stocked.execute("SELECT key FROM spocdb.source_rows(1, '{1}')").fetchall()
    assert keys == [("1",)]
    schema.upgrade(url)
    assert stocked.execute(public, [functions]).fetchall() == [(False,), (False,)]
    assert stocked.work().n_reused == 1
