"""Conditions that do more than read a row: each is refused, and no part of it has run."""

from typing import Any

import pytest

from spocdb.errors import ConfigError, SourceBroken

# Conditions whose functions would run as spocdb's owner, and what the message names.
REFUSED = [
    ("pg_read_file('/etc/passwd') <> ''", "calls pg_read_file(text), which is not IMMUTABLE"),
    ("lo_import('/etc/passwd') > 0", "calls lo_import(text), which is not IMMUTABLE"),
    ("lo_import(photo) > 0", "calls lo_import(text)"),
    ("id > 0 OR lo_create(4711) > 0", "calls lo_create(oid)"),
    ("set_config('role', 'none', false) <> ''", "calls set_config(text,text,boolean)"),
    ("current_setting('role') = 'none'", "calls current_setting(text)"),
    ("query_to_xml('SELECT 1', true, true, '') IS NOT NULL", "calls query_to_xml("),
    ("pg_sleep(0) IS NULL", "calls pg_sleep(double precision)"),
    ("random() < 2", "calls random()"),
    ("gen_random_uuid() IS NOT NULL", "calls gen_random_uuid()"),
    ("pg_terminate_backend(0)", "calls pg_terminate_backend("),
    ("txid_current() > 0", "calls txid_current()"),
    ("now() > '2020-01-01'", "calls now(), which is not IMMUTABLE"),
    ("clock_timestamp() > sold", "calls clock_timestamp()"),
    ("nextval('public.drawn') > 0", "reads public.drawn too"),
    ("nextval('dra' || 'wn') > 0", "calls nextval(regclass)"),
    ("public.theirs(id) > 0", "calls public.theirs(integer), which is not one of PostgreSQL's own"),
    ("id OPERATOR(public.@@@) 1", "calls public.theirs(integer,integer), which is not one of"),
    ("id OPERATOR(public.@@@) ANY (ARRAY[1])", "calls public.theirs(integer,integer)"),
    ("id IS DISTINCT FROM public.theirs(id)", "calls public.theirs(integer)"),
    ("CASE WHEN public.theirs(id) > 0 THEN true END", "calls public.theirs(integer)"),
    ("(ARRAY[1])[public.theirs(id)] > 0", "calls public.theirs(integer)"),
    ("greatest(public.theirs(id), 1) > 0", "calls public.theirs(integer)"),
    ("spocdb.owner() IS NOT NULL", "calls owner(), which is not one of"),
    ("current_user = 'postgres'", "uses CURRENT_USER"),
    ("session_user <> ''", "uses SESSION_USER"),
    ("user <> ''", "uses USER"),
    ("current_date > '2020-01-01'", "uses CURRENT_DATE"),
    ("localtimestamp(0) > '2020-01-01'", "uses LOCALTIMESTAMP"),
    ("current_catalog <> ''", "uses CURRENT_CATALOG"),
    ("current_schema = 'spocdb'", "uses CURRENT_SCHEMA"),
    ("(SELECT true)", "has a sub-select"),
    ("id IN (SELECT 1)", "has a sub-select"),
    ("EXISTS (SELECT pg_read_file('/etc/passwd'))", "calls pg_read_file(text)"),
    ("id > (SELECT max(id) FROM public.products)", "has a sub-select"),
    ("generate_series(1, id) > 0", "cannot be used"),
    ("sold > timestamp '2020-01-01'", "calls timestamptz_gt_timestamp("),
    ("sold::date = '2020-01-01'", "calls date(timestamp with time zone)"),
    ("to_char(sold, 'YYYY') = '2020'", "calls to_char("),
    ("sold::text LIKE '2020%'", "casts timestamp with time zone by way of text"),
    ("(name || '')::timestamptz > '2020-01-01'", "casts timestamp with time zone by way of text"),
    ("tags::text = '{}'", "casts text[] by way of text"),
    ("'spocdb.images'::regclass::text = name", "reads images too"),
    ("name::regclass IS NOT NULL", "calls regclass(text)"),
    ("name::information_schema.sql_identifier = ''", "casts to a domain"),
    ("name::public.short = ''", "uses the type public.short"),
    ("ROW(id, photo)::public.made IS NOT NULL", "uses the type public.made"),
    ("t IS NOT NULL", "looks at a whole row or a system column"),
    ("t = t", "looks at a whole row or a system column"),
    ("xmin::text <> ''", "looks at a whole row or a system column"),
    ("ctid IS NOT NULL", "looks at a whole row or a system column"),
    ("tableoid = 1", "looks at a whole row or a system column"),
    ("NULL IS DOCUMENT", "has an expression that spocdb does not know: xmlexpr|unsupported XML"),
    ("'a'::integer = 1", "cannot be used: invalid input syntax"),
    # Every use puts the condition in parentheses, after AND.
    ("id = 1) OR (true", "cannot be used: syntax error"),
    ("true])[1] OR (ARRAY[true", "cannot be used: syntax error"),
    ("true) AND (ARRAY[true])[1] OR (true", "cannot be used: syntax error"),
    ("id = 1, id = 2", "cannot be used: argument of AND must be type boolean"),
]


@pytest.fixture
def goods(shop: Any) -> Any:
    """Return the shop, with columns of more types and functions of another role."""
    shop.execute(
        """
        CREATE SEQUENCE drawn;
        ALTER TABLE products ADD sold timestamptz DEFAULT '2024-02-29 12:00:00Z', ADD tags text[],
            ADD price numeric DEFAULT 10, ADD details jsonb DEFAULT '{"colour": "red", "n": 3}';
        CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
        CREATE TYPE made AS (a integer, b text);
        CREATE FUNCTION theirs(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
            $$ BEGIN PERFORM nextval('public.drawn'); RETURN 1; END $$;
        CREATE FUNCTION theirs(integer, integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
            $$ BEGIN PERFORM nextval('public.drawn'); RETURN true; END $$;
        CREATE OPERATOR @@@ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = theirs);
        """
    )
    return shop


def test_a_condition_with_effects_or_secrets_is_refused(goods: Any) -> None:
    for condition, message in REFUSED:
        with pytest.raises(ConfigError) as raised:
            goods.attach(condition=condition)
        assert any(part in str(raised.value) for part in message.split("|")), condition
        assert "\n" not in str(raised.value)
    assert goods.execute("SELECT is_called FROM drawn").fetchone() == (False,)
    assert goods.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)
    assert goods.db.collections() == []


TAKEN = [
    "name ~ '^shoe' AND name NOT LIKE '%x%' AND lower(name) <> '' AND length(name) < 10",
    "sold > '2020-01-01' AND sold BETWEEN '2020-01-01' AND '2030-01-01+02'",
    "coalesce(tags, '{}') = '{}' AND NOT 'a' = ANY (coalesce(tags, ARRAY['b']))",
    "details @> '{\"colour\": \"red\"}' AND (details ->> 'n')::integer IN (1, 2, 3)",
    "CASE WHEN price > 5 THEN id::text ELSE NULL END <> '' AND price::text = '10'",
    "CASE id WHEN 1 THEN true ELSE id::text <> 'x' END AND id IN (1, 2, 3, 4, 5, 6)",
    "nullif(name, '') IS NOT NULL AND (name IS DISTINCT FROM 'x') IS NOT FALSE",
    "greatest(id, 2) >= least(id, 2) AND 10 / id >= 0 AND name COLLATE \"C\" > 'a'",
    "(id, name) = (id, name) AND (details -> 'n') IS NOT NULL AND details['n'] = '3'",
    "md5(name) <> '' AND encode(sha256(name::bytea), 'hex') ~ '^[0-9a-f]+$'",
]


def test_what_only_looks_at_a_row_is_taken(goods: Any) -> None:
    for condition in TAKEN:
        goods.attach(condition=condition)
        rows = goods.execute("SELECT count(*) FROM spocdb.source_keys(1)").fetchone()
        assert rows == (6,), condition
    assert goods.work().n_new == 6


def test_a_condition_is_not_used_for_columns_of_other_types(shop: Any) -> None:
    """With another type the same text means another function, here one that uses the time zone."""
    shop.execute("ALTER TABLE products ADD sold timestamptz DEFAULT '2024-02-29Z', ADD note text")
    shop.attach(condition="sold > '2020-01-01'")
    shop.execute("ALTER TABLE products ALTER sold TYPE text")
    shop.execute("UPDATE products SET name = 'new', note = 'x'")
    with pytest.raises(SourceBroken, match="its condition was judged for columns of other types"):
        shop.work()
    assert "was judged" in str(shop.db.tables.coverage()[0].problem)
    shop.attach(condition="sold > '2020-01-01'")
    # Columns that the condition does not use may change.
    shop.execute("ALTER TABLE products ALTER note TYPE varchar(20)")
    assert shop.work().n_new == 6


def test_a_condition_that_was_not_judged_is_not_used(shop: Any) -> None:
    shop.attach(condition="id > 0")
    shop.execute("UPDATE spocdb.sources SET condition = 'lo_create(4711) > 0'")
    with pytest.raises(SourceBroken, match=r"its condition was judged .* or never"):
        shop.work()
    assert shop.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)


# Two strings, or one string and a call, depending on whether backslashes escape.
TWO_WAYS = r"name <> '\' OR name = ' AND lo_create(4711) > 0 --'"


@pytest.mark.parametrize("pool_size", [1])
@pytest.mark.parametrize("first", ["on", "off"])
def test_no_setting_of_a_session_gives_a_condition_another_meaning(shop: Any, first: str) -> None:
    with shop.db.engine.connection() as connection:
        # The pool has no other connection, so the next call gets it in this state.
        connection.execute(f"SET standard_conforming_strings = {first}")
    shop.attach(condition=TWO_WAYS)
    for setting in ("on", "off"):
        shop.execute(f"SET standard_conforming_strings = {setting}")
        rows = shop.execute("SELECT count(*) FROM spocdb.source_keys(1)").fetchone()
        assert rows == (6,)
        rows = shop.execute("SELECT key FROM spocdb.source_rows(1, '{1,2}')").fetchall()
        assert rows == [("1",), ("2",)]
    assert shop.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)
    # Proof that the text has the other meaning too.
    shop.execute("SET standard_conforming_strings = off")
    shop.execute(f"SELECT FROM products WHERE {TWO_WAYS}".replace("--'", "LIMIT 1"))
    assert shop.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (1,)
