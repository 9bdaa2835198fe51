"""Work: attached tables and their queue, asked queries, runs, failures, evaluations."""

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import REGCLASS, UUID

from spocdb.db.tables.columns import (
    big_column,
    id_column,
    json_column,
    metadata,
    now_column,
    part_of,
    text_column,
)

sources = Table(
    "sources",
    metadata,
    part_of("collection", primary_key=True),
    Column("relation", REGCLASS, nullable=False),
    text_column("key_column"),
    text_column("key_type"),
    text_column("image_column"),
    text_column("kind"),
    Column("root", Text),
    Column("condition", Text),
    Column("metadata", ARRAY(Text), nullable=False, server_default="{}"),
    Column("allow_private", Boolean, nullable=False, server_default=text("false")),
    now_column("attached_at"),
    json_column("judged", "{}"),
)

source_changes = Table(
    "source_changes",
    metadata,
    id_column(),
    big_column("collection_id"),
    Column("keys", ARRAY(Text)),
    now_column("changed_at"),
)

queue = Table(
    "queue",
    metadata,
    part_of("collection", primary_key=True),
    Column("key", Text, primary_key=True),
    Column("enqueued_at", DateTime(timezone=True), nullable=False),
    now_column("due_at"),
    Column("lease", UUID),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lost", Integer, nullable=False, server_default=text("0")),
    Column("rejected", LargeBinary),
    Column("rejections", Integer, nullable=False, server_default=text("0")),
    Column("rejected_since", DateTime(timezone=True)),
    Column("version", Text, nullable=False, server_default=""),
    Column("size", BigInteger),
    Index("queue_due", "collection_id", "due_at", "key"),
    Index(
        *("queue_suspects", "collection_id", "due_at", "key"),
        postgresql_where=text("lost > 0"),
    ),
)

queries = Table(
    "queries",
    metadata,
    id_column(),
    Column("collection", Text, CheckConstraint("collection <> ''"), nullable=False),
    Column("picture", LargeBinary, CheckConstraint("octet_length(picture) <= 33554432")),
    Column("crop", ARRAY(Integer)),
    Column("asked_by", Text, nullable=False, server_default=text("CURRENT_USER")),
    now_column("asked_at"),
    now_column("due_at"),
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
    id_column(),
    part_of("collection"),
    Column("status", Text, nullable=False, server_default="running"),
    now_column("started_at"),
    Column("finished_at", DateTime(timezone=True)),
    json_column("summary", "{}"),
    Index("runs_collection", "collection_id"),
)

failures = Table(
    "failures",
    metadata,
    part_of("collection", primary_key=True),
    Column("path", Text, primary_key=True),
    text_column("version"),
    text_column("reason"),
    text_column("message"),
    now_column("failed_at"),
)

listed_archives = Table(
    "listed_archives",
    metadata,
    part_of("collection", primary_key=True),
    Column("path", Text, primary_key=True),
    text_column("version"),
    big_column("n_images"),
    json_column("left_out"),
)

evaluations = Table(
    "evaluations",
    metadata,
    id_column(),
    now_column("evaluated_at"),
    text_column("version"),
    text_column("benchmark"),
    text_column("variant"),
    json_column("dataset"),
    text_column("method"),
    json_column("recipe"),
    json_column("projection"),
    json_column("search"),
    text_column("measure"),
    Column("exact", Double, nullable=False),
    Column("by_index", Double),
    json_column("costs"),
    Index("evaluations_benchmark", "benchmark", "evaluated_at"),
)
