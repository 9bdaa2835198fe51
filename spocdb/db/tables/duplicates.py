"""Near-duplicates: searches, pairs of contents, groups, decisions."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from spocdb.db.tables.columns import metadata

PAIR = ("collection_id", "projection_id")


def _of_search(*, primary_key: bool) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False, primary_key=primary_key) for name in PAIR]


def _belongs_to(table: str) -> ForeignKeyConstraint:
    there = [f"spocdb.{table}.{name}" for name in PAIR]
    return ForeignKeyConstraint([*PAIR], there, ondelete="CASCADE")


def _content(name: str, *, primary_key: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False, primary_key=primary_key)


duplicate_searches = Table(
    "duplicate_searches",
    metadata,
    *_of_search(primary_key=True),
    Column("distance", Double, CheckConstraint("distance BETWEEN 0 AND 2")),
    Column("keep", Text, nullable=False),
    Column("level", Text),
    Column("near", Double),
    Column("bits", SmallInteger),
    CheckConstraint("level IN ('bytes', 'picture', 'scene')"),
    _belongs_to("embedding_tables"),
)

duplicate_thresholds = Table(
    "duplicate_thresholds",
    metadata,
    *_of_search(primary_key=True),
    Column("picture", Double, nullable=False),
    Column("scene", Double, nullable=False),
    Column("bits", SmallInteger),
    Column("settings", JSONB, nullable=False),
    Column("calibrated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    CheckConstraint("picture BETWEEN 0 AND scene"),
    _belongs_to("embedding_tables"),
)

duplicate_changes = Table(
    "duplicate_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    *_of_search(primary_key=False),
    _content("sha256"),
    Column("is_compared", Boolean, nullable=False, server_default=text("false")),
    Index("duplicate_changes_due", *PAIR, "id"),
)

duplicate_pairs = Table(
    "duplicate_pairs",
    metadata,
    *_of_search(primary_key=True),
    _content("a", primary_key=True),
    _content("b", primary_key=True),
    Column("distance", Double, nullable=False),
    CheckConstraint("a < b"),
    _belongs_to("duplicate_searches"),
    Index("duplicate_pairs_b", *PAIR, "b"),
)

duplicate_members = Table(
    "duplicate_members",
    metadata,
    *_of_search(primary_key=True),
    Column("image_id", BigInteger, nullable=False, primary_key=True),
    Column("keeper_id", BigInteger, nullable=False),
    _content("sha256"),
    Column("distance", Double, nullable=False),
    _belongs_to("duplicate_searches"),
    Index("duplicate_members_keeper", *PAIR, "keeper_id"),
    Index("duplicate_members_sha256", *PAIR, "sha256"),
)

duplicate_ungrouped = Table(
    "duplicate_ungrouped",
    metadata,
    *_of_search(primary_key=True),
    _content("sha256", primary_key=True),
    Column("place", BigInteger),
    _belongs_to("duplicate_searches"),
    Index("duplicate_ungrouped_place", *PAIR, "place"),
)

duplicate_decisions = Table(
    "duplicate_decisions",
    metadata,
    _content("a", primary_key=True),
    _content("b", primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("decided_by", Text, nullable=False, server_default=text("CURRENT_USER")),
    Index("duplicate_decisions_b", "b"),
)

duplicate_choices = Table(
    "duplicate_choices",
    metadata,
    _content("kept", primary_key=True),
    Column("rejected", LargeBinary, primary_key=True, server_default=text("''::bytea")),
    Column(
        "decided_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("clock_timestamp()"),
    ),
    Column("decided_by", Text, nullable=False, server_default=text("CURRENT_USER")),
)
