"""Maps: where images lie in two dimensions."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql import REAL

from spocdb.db.tables.columns import (
    big_column,
    id_column,
    json_column,
    metadata,
    now_column,
    part_of,
    text_column,
)

maps = Table(
    "maps",
    metadata,
    id_column(),
    big_column("collection_id"),
    big_column("projection_id"),
    text_column("method"),
    json_column("settings"),
    now_column("made_at"),
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
    part_of("map", primary_key=True),
    part_of("image", primary_key=True),
    Column("x", REAL, nullable=False),
    Column("y", REAL, nullable=False),
    Index("map_positions_image", "image_id"),
)
