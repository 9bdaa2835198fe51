"""The tables as SQLAlchemy sees them, for applications that query spocdb with SQLAlchemy.

The migrations make them; a test compares the two. Embedding tables and the views of collections
are made at run time: reflect those, or use the view by name.
"""

from spocdb.db.tables.columns import metadata
from spocdb.db.tables.duplicates import (
    duplicate_changes,
    duplicate_choices,
    duplicate_decisions,
    duplicate_members,
    duplicate_pairs,
    duplicate_searches,
    duplicate_thresholds,
    duplicate_ungrouped,
)
from spocdb.db.tables.images import (
    collections,
    descriptors,
    embedding_tables,
    extractors,
    images,
    projection_components,
    projections,
    thumbnails,
)
from spocdb.db.tables.maps import map_positions, maps
from spocdb.db.tables.work import (
    evaluations,
    failures,
    listed_archives,
    queries,
    queue,
    runs,
    source_changes,
    sources,
)

__all__ = [
    "collections",
    "descriptors",
    "duplicate_changes",
    "duplicate_choices",
    "duplicate_decisions",
    "duplicate_members",
    "duplicate_pairs",
    "duplicate_searches",
    "duplicate_thresholds",
    "duplicate_ungrouped",
    "embedding_tables",
    "evaluations",
    "extractors",
    "failures",
    "images",
    "listed_archives",
    "map_positions",
    "maps",
    "metadata",
    "projection_components",
    "projections",
    "queries",
    "queue",
    "runs",
    "source_changes",
    "sources",
    "thumbnails",
]
