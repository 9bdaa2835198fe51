"""Images and what is computed of them: extractors, descriptors, projections, collections."""

from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from spocdb.db.tables.columns import (
    big_column,
    id_column,
    json_column,
    metadata,
    now_column,
    number_column,
    part_of,
    text_column,
)

extractors = Table(
    "extractors",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    json_column("recipe"),
    number_column("dim"),
    now_column("created_at"),
    Column("parentage", JSONB),
)

descriptors = Table(
    "descriptors",
    metadata,
    Column("extractor_id", BigInteger, ForeignKey("spocdb.extractors.id"), primary_key=True),
    Column("sha256", LargeBinary, CheckConstraint("octet_length(sha256) = 32"), primary_key=True),
    number_column("width"),
    number_column("height"),
    Column("descriptor", HALFVEC, nullable=False),
)

projections = Table(
    "projections",
    metadata,
    id_column(),
    big_column("extractor_id", ForeignKey("spocdb.extractors.id")),
    text_column("kind"),
    number_column("dim"),
    Column("mean", VECTOR, nullable=False),
    big_column("n_samples"),
    json_column("settings"),
    json_column("fitted_on"),
    text_column("fingerprint"),
    now_column("created_at"),
    UniqueConstraint("extractor_id", "fingerprint"),
    Index("projections_raw", "extractor_id", unique=True, postgresql_where=text("kind = 'raw'")),
)

projection_components = Table(
    "projection_components",
    metadata,
    part_of("projection", primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("component", VECTOR, nullable=False),
    Column("scale", Double, nullable=False),
    Column("singular_value", Double, nullable=False),
    Column("explained", Double, nullable=False),
)

collections = Table(
    "collections",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    big_column("extractor_id", ForeignKey("spocdb.extractors.id")),
    Column("active_projection_id", BigInteger),
    Column("previous_projection_id", BigInteger),
    now_column("created_at"),
    Column(
        "recall",
        Double,
        CheckConstraint("recall > 0 AND recall <= 1"),
        nullable=False,
        server_default=text("0.99"),
    ),
    Column(
        "partitions",
        Integer,
        CheckConstraint("partitions >= 1 AND partitions <= 256"),
        nullable=False,
        server_default=text("1"),
    ),
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
    part_of("collection", primary_key=True),
    Column("projection_id", BigInteger, ForeignKey("spocdb.projections.id"), primary_key=True),
    text_column("column_type"),
    text_column("index_type"),
    Column("kind", Text),
    Column("recall", Double),
    Column("recall_settings", JSONB),
    now_column("created_at"),
)

recalls = Table(
    "recalls",
    metadata,
    Column("collection_id", BigInteger, primary_key=True),
    Column("projection_id", BigInteger, primary_key=True),
    Column("k", Integer, primary_key=True),
    Column("ef_search", Integer, primary_key=True),
    Column("recall", Double, nullable=False),
    ForeignKeyConstraint(
        ["collection_id", "projection_id"],
        ["spocdb.embedding_tables.collection_id", "spocdb.embedding_tables.projection_id"],
        ondelete="CASCADE",
    ),
)

images = Table(
    "images",
    metadata,
    id_column(),
    part_of("collection"),
    text_column("path"),
    Column("sha256", LargeBinary, nullable=False),
    big_column("size"),
    text_column("version"),
    number_column("width"),
    number_column("height"),
    json_column("metadata", "{}"),
    now_column("ingested_at"),
    json_column("taken_over", "{}"),
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
    Column("signature", BigInteger),
    Column("signature_version", SmallInteger),
)
