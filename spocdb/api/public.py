"""The public names of the API, which are those of `spocdb.api`."""

from spocdb.api.connecting import connect, connect_shards
from spocdb.api.database import Database
from spocdb.api.duplicates import Duplicates
from spocdb.api.engine import Engine
from spocdb.api.index import Index
from spocdb.api.pca import Pca
from spocdb.api.review import Review
from spocdb.api.sharded import ShardedIndex, ShardedPca
from spocdb.api.shards import Shards
from spocdb.api.statements import Statements
from spocdb.api.tables import Tables
from spocdb.db.attachments import Attached, Attachment, Coverage, Throughput
from spocdb.db.catalogue import ImageDetails
from spocdb.db.collections import CollectionSummary, ExtractorSummary
from spocdb.db.details import CollectionDetails
from spocdb.db.duplicate_decisions import Decision
from spocdb.db.duplicate_groups import (
    DuplicateGroup,
    DuplicateImage,
    DuplicatesAsked,
    DuplicateSummary,
)
from spocdb.db.duplicate_metadata import MetadataOffer
from spocdb.db.duplicate_review import ReviewCount, ReviewGroup, ReviewImage
from spocdb.db.evaluations import StoredEvaluation
from spocdb.db.facets import Facet, Facets, FacetValue
from spocdb.db.indexes import IndexStatus
from spocdb.db.listing import StoredImage
from spocdb.db.maps import CollectionMap, MapPoints
from spocdb.db.projections import ProjectionSummary
from spocdb.db.runs import Failure
from spocdb.db.search import Hit
from spocdb.db.thresholds import Thresholds
from spocdb.db.thumbnails import Content
from spocdb.db.versions import ProjectionVersion
from spocdb.progress import Progress
from spocdb.pruning import GoneRoot
from spocdb.records import Choice, Crop, Projection, Recipe, Refinement
from spocdb.settings import Limits, Settings
from spocdb.thresholds import Calibration, CurvePoint, NearPair, VariantRecall
from spocdb.thumbnails import Thumbnail
from spocdb.worker import WorkerOptions

__all__ = [
    "Attached",
    "Attachment",
    "Calibration",
    "Choice",
    "CollectionDetails",
    "CollectionMap",
    "CollectionSummary",
    "Content",
    "Coverage",
    "Crop",
    "CurvePoint",
    "Database",
    "Decision",
    "DuplicateGroup",
    "DuplicateImage",
    "DuplicateSummary",
    "Duplicates",
    "DuplicatesAsked",
    "Engine",
    "ExtractorSummary",
    "Facet",
    "FacetValue",
    "Facets",
    "Failure",
    "GoneRoot",
    "Hit",
    "ImageDetails",
    "Index",
    "IndexStatus",
    "Limits",
    "MapPoints",
    "MetadataOffer",
    "NearPair",
    "Pca",
    "Progress",
    "Projection",
    "ProjectionSummary",
    "ProjectionVersion",
    "Recipe",
    "Refinement",
    "Review",
    "ReviewCount",
    "ReviewGroup",
    "ReviewImage",
    "Settings",
    "ShardedIndex",
    "ShardedPca",
    "Shards",
    "Statements",
    "StoredEvaluation",
    "StoredImage",
    "Tables",
    "Thresholds",
    "Throughput",
    "Thumbnail",
    "VariantRecall",
    "WorkerOptions",
    "connect",
    "connect_shards",
]
