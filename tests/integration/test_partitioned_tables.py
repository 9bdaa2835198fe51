"""Partitioned attached tables: every way in which a row of a partition comes, changes or goes."""

import pytest

from spocdb.errors import ConfigError, SourceBroken
from tests.fixtures.shop import Shop

TABLE = (
    "CREATE TABLE parted (id integer PRIMARY KEY, photo text, name text) PARTITION BY RANGE (id)"
)
LOW = "CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (100)"
HIGH = "CREATE TABLE high PARTITION OF parted FOR VALUES FROM (100) TO (200)"


@pytest.fixture
def parted(shop: Shop) -> Shop:
    """Return the shop with an attached table of two partitions, with a row in each."""
    for statement in (TABLE, LOW, HIGH):
        shop.execute(statement)
    shop.execute("INSERT INTO parted VALUES (1, '0000.jpg', 'a'), (101, '0001.jpg', 'b')")
    shop.attach("parted", metadata=["name"])
    assert shop.work().n_new == 2 and found(shop) == ["1", "101"]
    return shop


def found(shop: Shop) -> list[str]:
    return shop.found("parted")


def test_writes_to_the_table_and_to_its_partitions_are_noted(parted: Shop) -> None:
    parted.execute("INSERT INTO low VALUES (2, '0002.jpg', 'c')")
    parted.execute("INSERT INTO parted VALUES (102, '0003.jpg', 'd')")
    assert parted.work().n_new == 2 and found(parted) == ["1", "101", "102", "2"]
    # The image, and the key within and across partitions.
    parted.execute("UPDATE low SET photo = '0004.jpg' WHERE id = 1")
    parted.execute("UPDATE low SET id = 3 WHERE id = 2")
    parted.execute("UPDATE parted SET id = 4 WHERE id = 102")
    assert found(parted) == ["1", "101"]
    parted.work()
    assert found(parted) == ["1", "101", "3", "4"]
    # A deletion takes the embedding with it at once.
    parted.execute("DELETE FROM low WHERE id IN (3, 4)")
    parted.execute("DELETE FROM parted WHERE id = 101")
    assert found(parted) == ["1"]
    assert parted.work().n_seen <= 4 and found(parted) == ["1"]
    parted.execute("TRUNCATE parted")
    assert found(parted) == []


def test_partitions_that_come_and_go_are_noticed(parted: Shop) -> None:
    parted.execute("CREATE TABLE more PARTITION OF parted FOR VALUES FROM (200) TO (300)")
    parted.execute("INSERT INTO more VALUES (200, '0002.jpg', 'c')")
    assert parted.work().n_new == 1
    # Filled before it is attached.
    parted.execute("CREATE TABLE late (LIKE parted INCLUDING ALL)")
    parted.execute("INSERT INTO late VALUES (300, '0003.jpg', 'd')")
    parted.execute("ALTER TABLE parted ATTACH PARTITION late FOR VALUES FROM (300) TO (400)")
    assert parted.work().n_new == 1 and found(parted) == ["1", "101", "200", "300"]
    parted.execute("INSERT INTO late VALUES (301, '0004.jpg', 'e')")
    assert parted.work().n_new == 1
    # Changed while it is no partition.
    parted.execute("ALTER TABLE parted DETACH PARTITION late")
    parted.execute("DELETE FROM late WHERE id = 300")
    parted.execute("ALTER TABLE parted ATTACH PARTITION late FOR VALUES FROM (300) TO (400)")
    parted.work()
    assert found(parted) == ["1", "101", "200", "301"]
    parted.execute("TRUNCATE late")
    parted.work()
    assert found(parted) == ["1", "101", "200"]
    parted.execute("ALTER TABLE parted DETACH PARTITION more")
    parted.execute("DROP TABLE high")
    parted.work()
    assert found(parted) == ["1"]
    # Nothing is checked twice.
    assert parted.work().n_seen == 0
    (coverage,) = parted.db.tables.coverage()
    assert (coverage.rows, coverage.embedded, coverage.problem) == (1, 1, None)


def test_partitions_of_partitions_and_of_bytes(shop: Shop) -> None:
    shop.execute("CREATE TABLE parted (id integer PRIMARY KEY, photo bytea) PARTITION BY HASH (id)")
    shop.execute(
        "CREATE TABLE even PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0) "
        "PARTITION BY HASH (id)"
    )
    shop.execute("CREATE TABLE odd PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1)")
    shop.execute("CREATE TABLE leaf PARTITION OF even FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    photos = [photo.read_bytes() for photo in sorted(shop.folder.iterdir())]
    shop.attach("parted", root=None)
    for n, photo in enumerate(photos):
        shop.execute("INSERT INTO parted VALUES (%s, %s)", [n, photo])
    assert shop.work().n_new == 6
    shop.execute("UPDATE parted SET photo = %s", [photos[0]])
    assert len(shop.waiting()) == 5
    shop.execute("DELETE FROM leaf")
    shop.execute("DELETE FROM odd")
    assert found(shop) == []
    shop.db.tables.detach("parted")
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'spocdb%'"
    assert shop.execute(triggers).fetchone() == (0,)


def test_what_cannot_be_told_apart_or_trusted_is_refused(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE daily (id integer, day date, photo text, PRIMARY KEY (id, day)) "
        "PARTITION BY RANGE (day)"
    )
    with pytest.raises(ConfigError, match="partitioned by another column than the key"):
        shop.attach("daily")
    shop.execute(TABLE)
    shop.execute(LOW)
    with pytest.raises(ConfigError, match="attach the partitioned table instead of a partition"):
        shop.attach("low")


def test_partitions_of_other_roles_are_neither_attached_nor_read(
    trapper: str, parted: Shop
) -> None:
    parted.execute(f"ALTER TABLE low OWNER TO {trapper}")
    with pytest.raises(SourceBroken, match="low belongs to the role trapper, which may give"):
        parted.work()
    with pytest.raises(ConfigError, match=rf"low belongs to the role {trapper}.*GRANT"):
        parted.attach("parted")
    parted.execute("DROP TABLE low")
    parted.work()
    assert found(parted) == ["101"]


def test_a_function_of_a_partition_key_or_index_must_be_trusted(trapper: str, parted: Shop) -> None:
    parted.execute(
        "CREATE FUNCTION public.settled(n integer) RETURNS integer IMMUTABLE LANGUAGE sql "
        "AS 'SELECT n'"
    )
    parted.execute(f"ALTER FUNCTION public.settled OWNER TO {trapper}")
    parted.execute("CREATE INDEX trap ON low (public.settled(id))")
    with pytest.raises(SourceBroken, match="trap calls"):
        parted.work()


def test_the_owner_of_the_table_makes_partitions(trapper: str, parted: Shop) -> None:
    owner = parted.execute("SELECT spocdb.owner()").fetchone()[0]
    parted.execute(f"GRANT {owner} TO {trapper}")
    parted.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {trapper}")
    for table in ("low", "high", "parted"):
        parted.execute(f"ALTER TABLE {table} OWNER TO {trapper}")
    parted.execute(f"SET ROLE {trapper}")
    parted.execute("CREATE TABLE more PARTITION OF parted FOR VALUES FROM (200) TO (300)")
    parted.execute("INSERT INTO more VALUES (200, '0002.jpg', 'c')")
    parted.execute("RESET ROLE")
    assert parted.work().n_new == 1
