"""The tables as SQLAlchemy sees them, for applications that query spocdb with SQLAlchemy.

The migrations make them; a test compares the two. Embedding tables and the views of collections
are made at run time: reflect those, or use the view by name.
"""

from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL, REGCLASS, UUID

metadata = MetaData(schema="spocdb")


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _big(name: str, *constraints: ForeignKey) -> Column[int]:
    return Column(name, BigInteger, *constraints, nullable=False)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def _json(name: str, default: str | None = None) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=default)


def _part_of(whole: str, *, primary_key: bool = False) -> Column[int]:
    there = ForeignKey(f"spocdb.{whole}s.id", ondelete="CASCADE")
    return Column(f"{whole}_id", BigInteger, there, nullable=False, primary_key=primary_key)


extractors = Table(
    "extractors",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    _json("recipe"),
    _number("dim"),
    _now("created_at"),
    Column("parentage", JSONB),
)

descriptors = Table(
    "descriptors",
    metadata,
    Column("extractor_id", BigInteger, ForeignKey("spocdb.extractors.id"), primary_key=True),
    Column("sha256", LargeBinary, CheckConstraint("octet_length(sha256) = 32"), primary_key=True),
    _number("width"),
    _number("height"),
    Column("descriptor", HALFVEC, nullable=False),
)

projections = Table(
    "projections",
    metadata,
    _id(),
    _big("extractor_id", ForeignKey("spocdb.extractors.id")),
    _text("kind"),
    _number("dim"),
    Column("mean", VECTOR, nullable=False),
    _big("n_samples"),
    _json("settings"),
    _json("fitted_on"),
    _text("fingerprint"),
    _now("created_at"),
    UniqueConstraint("extractor_id", "fingerprint"),
    Index("projections_raw", "extractor_id", unique=True, postgresql_where=text("kind = 'raw'")),
)

projection_components = Table(
    "projection_components",
    metadata,
    _part_of("projection", primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("component", VECTOR, nullable=False),
    Column("scale", Double, nullable=False),
    Column("singular_value", Double, nullable=False),
    Column("explained", Double, nullable=False),
)

collections = Table(
    "collections",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    _big("extractor_id", ForeignKey("spocdb.extractors.id")),
    Column("active_projection_id", BigInteger),
    Column("previous_projection_id", BigInteger),
    _now("created_at"),
    ForeignKeyConstraint(
        ["id", "active_projection_id"],
        ["spocdb.embedding_tables.collection_id", "spocdb.embedding_tables.projection_id"],
        name="collections_active_fkey",
        deferrable=True,
        initially="DEFERRED",
        use_alter=True,
    ),
)

embedding_tables = Table(
    "embedding_tables",
    metadata,
    _part_of("collection", primary_key=True),
    Column("projection_id", BigInteger, ForeignKey("spocdb.projections.id"), primary_key=True),
    _text("column_type"),
    _text("index_type"),
    Column("recall", Double),
    Column("recall_settings", JSONB),
    _now("created_at"),
)

images = Table(
    "images",
    metadata,
    _id(),
    _part_of("collection"),
    _text("path"),
    Column("sha256", LargeBinary, nullable=False),
    _big("size"),
    _text("version"),
    _number("width"),
    _number("height"),
    _json("metadata", "{}"),
    _now("ingested_at"),
    UniqueConstraint("collection_id", "path"),
    Index("images_sha256", "sha256"),
    Index("images_newest", "collection_id", "id"),
    Index(
        "images_metadata",
        "metadata",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
    ),
)

thumbnails = Table(
    "thumbnails",
    metadata,
    Column("sha256", LargeBinary, CheckConstraint("octet_length(sha256) = 32"), primary_key=True),
    Column("webp", LargeBinary, nullable=False),
)

maps = Table(
    "maps",
    metadata,
    _id(),
    _big("collection_id"),
    _big("projection_id"),
    _text("method"),
    _json("settings"),
    _now("made_at"),
    UniqueConstraint("collection_id", "projection_id"),
    ForeignKeyConstraint(
        ["collection_id", "projection_id"],
        ["spocdb.embedding_tables.collection_id", "spocdb.embedding_tables.projection_id"],
        ondelete="CASCADE",
    ),
)

map_positions = Table(
    "map_positions",
    metadata,
    _part_of("map", primary_key=True),
    _part_of("image", primary_key=True),
    Column("x", REAL, nullable=False),
    Column("y", REAL, nullable=False),
    Index("map_positions_image", "image_id"),
)

sources = Table(
    "sources",
    metadata,
    _part_of("collection", primary_key=True),
    Column("relation", REGCLASS, nullable=False),
    _text("key_column"),
    _text("key_type"),
    _text("image_column"),
    _text("kind"),
    Column("root", Text),
    Column("condition", Text),
    Column("metadata", ARRAY(Text), nullable=False, server_default="{}"),
    Column("allow_private", Boolean, nullable=False, server_default=text("false")),
    _now("attached_at"),
    _json("judged", "{}"),
)

source_changes = Table(
    "source_changes",
    metadata,
    _id(),
    _big("collection_id"),
    Column("keys", ARRAY(Text)),
    _now("changed_at"),
)

queue = Table(
    "queue",
    metadata,
    _part_of("collection", primary_key=True),
    Column("key", Text, primary_key=True),
    Column("enqueued_at", DateTime(timezone=True), nullable=False),
    _now("due_at"),
    Column("lease", UUID),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lost", Integer, nullable=False, server_default=text("0")),
    Column("rejected", LargeBinary),
    Column("rejections", Integer, nullable=False, server_default=text("0")),
    Column("rejected_since", DateTime(timezone=True)),
    Index("queue_due", "collection_id", "due_at", "key"),
)

queries = Table(
    "queries",
    metadata,
    _id(),
    Column("collection", Text, CheckConstraint("collection <> ''"), nullable=False),
    Column("picture", LargeBinary, CheckConstraint("octet_length(picture) <= 33554432")),
    Column("crop", ARRAY(Integer)),
    Column("asked_by", Text, nullable=False, server_default=text("CURRENT_USER")),
    _now("asked_at"),
    _now("due_at"),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("embedding", VECTOR),
    Column("projection", BigInteger),
    Column("error", Text),
    Column("message", Text),
    Column("answered_at", DateTime(timezone=True)),
    Column(
        "expires_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("now() + interval '10 minutes'"),
    ),
    Index("queries_waiting", "due_at", "id", postgresql_where=text("answered_at IS NULL")),
    Index("queries_expires_at", "expires_at"),
    prefixes=["UNLOGGED"],
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _part_of("collection"),
    Column("status", Text, nullable=False, server_default="running"),
    _now("started_at"),
    Column("finished_at", DateTime(timezone=True)),
    _json("summary", "{}"),
    Index("runs_collection", "collection_id"),
)

failures = Table(
    "failures",
    metadata,
    _part_of("collection", primary_key=True),
    Column("path", Text, primary_key=True),
    _text("version"),
    _text("reason"),
    _text("message"),
    _now("failed_at"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _id(),
    _now("evaluated_at"),
    _text("version"),
    _text("benchmark"),
    _text("variant"),
    _json("dataset"),
    _text("method"),
    _json("recipe"),
    _json("projection"),
    _json("search"),
    _text("measure"),
    Column("exact", Double, nullable=False),
    Column("by_index", Double),
    _json("costs"),
    Index("evaluations_benchmark", "benchmark", "evaluated_at"),
)
