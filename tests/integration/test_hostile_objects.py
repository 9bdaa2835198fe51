"""Other roles' objects that could shadow what spocdb's functions call."""

from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

# Overloads that match better than the catalog's polymorphic functions, and operators between
# types that have none. They would be called wherever a search_path finds them.
TRAPS = """
CREATE SEQUENCE public.sprung;
GRANT ALL ON SEQUENCE public.sprung TO PUBLIC;
DO $do$
DECLARE
    types CONSTANT text[] := '{text,smallint,integer,bigint,real,double precision,uuid,jsonb,bytea,
        name,oid,regclass,timestamp with time zone,interval,boolean,public.vector,public.halfvec}';
    body  CONSTANT text := $$ RETURNS text LANGUAGE plpgsql AS
        'BEGIN PERFORM nextval(''public.sprung''); RAISE ''trapped''; END' $$;
    made  CONSTANT text := 'CREATE FUNCTION public.';
    name  text;
    a     text;
    b     text;
BEGIN
    FOREACH name IN ARRAY '{array_agg,array_length,array_fill,cardinality,count,format,concat,
        concat_ws,unnest,max,min,to_jsonb,jsonb_build_object,quote_literal,quote_nullable,array_cat,
        array_append,string_agg}'::text[]
    LOOP
        FOREACH a IN ARRAY types LOOP
            EXECUTE format(made || '%I(%s)', name, a) || body;
            EXECUTE format(made || '%I(%s[])', name, a) || body;
            FOREACH b IN ARRAY types LOOP
                EXECUTE format(made || '%I(%s, %s)', name, a, b) || body;
                EXECUTE format(made || '%I(text, %s, %s)', name, a, b) || body;
            END LOOP;
        END LOOP;
    END LOOP;
    FOR name IN SELECT 'l2_normalize' UNION SELECT 'vector_dims' UNION
                SELECT proname FROM pg_proc WHERE pronamespace = 'spocdb'::regnamespace
    LOOP
        FOREACH a IN ARRAY types LOOP
            CONTINUE WHEN to_regprocedure(format('public.%I(%s)', name, a)) IS NOT NULL;
            EXECUTE format(made || '%I(%s)', name, a) || body;
        END LOOP;
    END LOOP;
    FOREACH a IN ARRAY types || ARRAY(SELECT t || '[]' FROM unnest(types) t) LOOP
        FOREACH b IN ARRAY types LOOP
            EXECUTE format(made || 'trap(%s, %s)', a, b) || body;
            FOREACH name IN ARRAY '{=,<>,<,<=,>,>=,+,-,*,||,@>,<#>}'::text[] LOOP
                CONTINUE WHEN to_regoperator(format('pg_catalog.%s(%s,%s)', name, a, b)) IS NOT NULL
                           OR to_regoperator(format('public.%s(%s,%s)', name, a, b)) IS NOT NULL;
                EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, '
                               'FUNCTION = public.trap)', name, a, b);
            END LOOP;
        END LOOP;
    END LOOP;
    FOREACH name IN ARRAY '{images,collections,sources,queue,failures,descriptors,projections,
        source_changes,extractors,embedding_tables,projection_components,deleted}'::text[]
    LOOP
        EXECUTE format('CREATE TABLE public.%I (trap integer)', name);
    END LOOP;
END
$do$;
"""


@pytest.fixture
def trapped(trapper: str, shop: Any) -> Any:
    """Return a shop, attached and embedded; another role has filled schema public with traps."""
    shop.attach(metadata=["name"])
    shop.work()
    shop.execute(f"GRANT CREATE ON SCHEMA public TO {trapper}")
    with psycopg.connect(shop.db.url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {trapper}")
        connection.execute("SET search_path = pg_catalog")
        connection.execute(TRAPS)
    return shop


# With each operator, and each kind of value.
CONDITIONS = """[
    {"name": "shoe 4"}, ["name", "=", ["a", {"b": null}]], ["name", "!=", "2023-05"],
    ["n", "<=", 3], ["taken", ">", "2023-05-01 10:00"], ["name", "in", ["a", 1]],
    ["name", "~", "a"], ["n", "exists", false]
]"""

# Calls of all functions of the schema, with exact types, so that the call itself hits no trap.
CALLS = """
SELECT spocdb.attach('public.products'::regclass, {id}, {photo}, {again}, NULL::pg_catalog.text,
                     {root}, false, {condition}, ARRAY['name']);
SELECT spocdb.attach('public.products'::regclass, {id}, {photo}, {products}, NULL::pg_catalog.text,
                     {root}, false, {condition}, ARRAY['name']);
INSERT INTO public.products VALUES (7, '0000.jpg', 'boot'), (8, '0000.jpg', 'boot');
UPDATE public.products SET name = 'new', id = 9 WHERE name LIKE 'shoe 1';
DELETE FROM public.products WHERE name LIKE 'shoe 2';
SELECT spocdb.take_in(c.id), spocdb.lock_collection(c.id) FROM spocdb.collections c;
SELECT * FROM spocdb.source_keys('1'::bigint);
SELECT * FROM spocdb.source_rows('1'::bigint, ARRAY['7']);
SELECT * FROM spocdb.lock_rows('1'::bigint, ARRAY['7']);
SELECT spocdb.retry({products}, NULL::pg_catalog.text[]);
SELECT * FROM spocdb.similar_rows({products}, {key}, 3, {filter}, false);
SELECT * FROM spocdb.similar_rows({products}, '3'::bigint, 3, {filter}, false);
SELECT * FROM spocdb.similar({products}, '3'::bigint, 3, '{{}}'::jsonb, true);
SELECT * FROM spocdb.search(
    {products},
    spocdb.expand({products}, spocdb.embedding({products}, '3'::bigint), 2, '3'::float8, false),
    3, {filter}, false);
SELECT * FROM spocdb.search(
    {products}, spocdb.embedding({products}, '3'::bigint), 3, {conditions}, false);
SELECT spocdb.create_collection({plain}, '1'::bigint);
SELECT spocdb.delete_images({plain}, ARRAY['1'::bigint]);
SELECT spocdb.embed({products}, d.descriptor::public.vector) FROM spocdb.descriptors d;
SELECT * FROM spocdb.coverage;
SELECT spocdb.add_embedding_table('1'::bigint, '2'::bigint);
SELECT spocdb.drop_embedding_table('1'::bigint, '2'::bigint);
SELECT spocdb.iterative_scan(false);
SELECT spocdb.detach({again});
SELECT spocdb.drop_collection('1'::bigint);
TRUNCATE public.products;
"""


def test_no_function_calls_what_lies_in_wait(trapped: Any) -> None:
    root = str(trapped.folder)
    number = trapped.execute(
        "INSERT INTO spocdb.projections (extractor_id, kind, dim, mean, n_samples, settings, "
        "fitted_on, fingerprint) SELECT extractor_id, 'pca', 2, mean, 0, '{}', '{}', 'made up' "
        "FROM spocdb.projections RETURNING id"
    ).fetchone()
    assert number == (2,)
    with psycopg.connect(trapped.db.url, autocommit=True) as connection:
        # Temporary objects come first, unless the search_path names their schema later.
        for name in ("images", "collections", "sources", "queue", "vector", "text", "target"):
            connection.execute(f"CREATE TEMP TABLE {name} (trap integer)")
        texts = ["id", "photo", "again", "products", "plain"]
        values = {t: SQL(f"'{t}'::pg_catalog.text") for t in texts} | {
            "key": SQL("'3'::pg_catalog.text"),
            "root": SQL("{}::pg_catalog.text").format(root),
            "condition": SQL("'id < 100'::pg_catalog.text"),
            "filter": SQL("""'{"name": "shoe 4"}'::jsonb"""),
            "conditions": SQL("{}::jsonb").format(CONDITIONS),
        }
        for statement in SQL(CALLS).format(**values).as_string(connection).split(";\n"):
            connection.execute(statement)
    # A sequence is not rolled back when a function catches an error.
    sprung = trapped.execute("SELECT is_called FROM public.sprung").fetchone()
    assert sprung == (False,)
    # With public in the search_path they would be called.
    trapped.execute(
        "ALTER FUNCTION spocdb.take_in(bigint) SET search_path = spocdb, public, pg_temp"
    )
    trapped.execute("INSERT INTO spocdb.source_changes (collection_id, keys) VALUES (1, '{a}')")
    with pytest.raises(psycopg.errors.RaiseException, match="trapped"):
        trapped.execute("SELECT spocdb.take_in('1'::bigint)")


@pytest.mark.parametrize("column", ["id", "photo", "name", "shown"])
def test_what_came_with_a_type_does_not_run_in_the_trigger(
    trapper: str, shop: Any, column: str
) -> None:
    """The table's owner gives a column his own type, whose casts would run as spocdb's owner."""
    shop.execute("ALTER TABLE products ADD shown boolean DEFAULT true")
    shop.attach(metadata=["name"], condition="shown")
    shop.work()
    shop.execute(f"GRANT CREATE ON SCHEMA public TO {trapper}")
    shop.execute(f"ALTER TABLE products OWNER TO {trapper}")
    with psycopg.connect(shop.db.url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {trapper}")
        connection.execute(
            """
            CREATE SEQUENCE sprung;
            GRANT ALL ON sprung TO PUBLIC;
            CREATE TYPE own AS (content text);
            CREATE FUNCTION sprung(own) RETURNS text LANGUAGE plpgsql AS
                $$ BEGIN PERFORM nextval('public.sprung'); RETURN $1.content; END $$;
            CREATE FUNCTION equal(own, own) RETURNS boolean LANGUAGE plpgsql AS
                $$ BEGIN PERFORM nextval('public.sprung'); RETURN true; END $$;
            CREATE OPERATOR = (LEFTARG = own, RIGHTARG = own, FUNCTION = equal);
            CREATE CAST (own AS text) WITH FUNCTION sprung AS IMPLICIT;
            """
        )
        key = "ALTER TABLE products DROP CONSTRAINT products_pkey;" if column == "id" else ""
        connection.execute(
            f"{key} ALTER TABLE products ALTER {column} DROP DEFAULT, "
            f"ALTER {column} TYPE own USING ROW({column})"
        )
        new = "id" if column == "id" else "id + 10"
        for statement in (
            f"INSERT INTO products (id) SELECT {new} FROM products",
            "UPDATE products SET photo = NULL",
            "UPDATE products SET name = NULL",
            "UPDATE products SET id = id",
            "DELETE FROM products",
        ):
            connection.execute(statement)
    assert shop.execute("SELECT is_called FROM sprung").fetchone() == (False,)
    assert shop.execute("SELECT count(*) FROM spocdb.source_changes").fetchone()[0] > 0
    assert shop.execute("SELECT sprung(ROW('x')::own)").fetchone() == ("x",)
    assert shop.execute("SELECT is_called FROM sprung").fetchone() == (True,)
