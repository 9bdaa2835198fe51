"""Visual similarity search inside your own PostgreSQL.

    import spocdb

    with spocdb.connect("postgresql://me@host/shop") as db:
        db.ingest("photos/", collection="photos")
        for hit in db.search("query.jpg", k=10):
            print(hit.path, hit.distance)

A name is imported when it is first used, so that `import spocdb` takes a few milliseconds.
"""

from importlib import import_module

# Type checkers recognise this name; importing `typing` would take longer than everything else.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from spocdb.api import (
        Attached,
        Attachment,
        Calibration,
        Choice,
        CollectionDetails,
        CollectionMap,
        CollectionSummary,
        Content,
        Coverage,
        Crop,
        CurvePoint,
        Database,
        Decision,
        DuplicateGroup,
        DuplicateImage,
        Duplicates,
        DuplicatesAsked,
        DuplicateSummary,
        Engine,
        ExtractorSummary,
        Facet,
        Facets,
        FacetValue,
        Failure,
        GoneRoot,
        Hit,
        ImageDetails,
        Index,
        IndexStatus,
        Limits,
        MapPoints,
        MetadataOffer,
        NearPair,
        Pca,
        Progress,
        Projection,
        ProjectionSummary,
        ProjectionVersion,
        Recipe,
        Refinement,
        Review,
        ReviewCount,
        ReviewGroup,
        ReviewImage,
        Settings,
        ShardedIndex,
        ShardedPca,
        Shards,
        Statements,
        StoredEvaluation,
        StoredImage,
        Tables,
        Thresholds,
        Throughput,
        Thumbnail,
        VariantRecall,
        WorkerOptions,
        connect,
        connect_shards,
    )
    from spocdb.errors import (
        AddressRefused,
        ClusterLost,
        CollectionNotFound,
        ConfigError,
        DatabaseBusy,
        DatabaseError,
        DatabaseLost,
        DatabaseRefused,
        DescriptorError,
        DimensionMismatch,
        DuplicatesNotFound,
        EmptyCrop,
        ExtractorChanged,
        ImageChanged,
        ImageError,
        ImageNotFound,
        ImageTooLarge,
        ImageVanished,
        InvalidValue,
        MapNotFound,
        NotEnoughSamples,
        ProcessLost,
        ProjectionNotFound,
        RightMissing,
        RowGone,
        SchemaOutOfDate,
        SourceBroken,
        SpocdbError,
        UnknownChoice,
        UnreadableImage,
        WeightsNotFound,
    )

__version__ = "0.2.0.dev0"

__all__ = [
    "AddressRefused",
    "Attached",
    "Attachment",
    "Calibration",
    "Choice",
    "ClusterLost",
    "CollectionDetails",
    "CollectionMap",
    "CollectionNotFound",
    "CollectionSummary",
    "ConfigError",
    "Content",
    "Coverage",
    "Crop",
    "CurvePoint",
    "Database",
    "DatabaseBusy",
    "DatabaseError",
    "DatabaseLost",
    "DatabaseRefused",
    "Decision",
    "DescriptorError",
    "DimensionMismatch",
    "DuplicateGroup",
    "DuplicateImage",
    "DuplicateSummary",
    "Duplicates",
    "DuplicatesAsked",
    "DuplicatesNotFound",
    "EmptyCrop",
    "Engine",
    "ExtractorChanged",
    "ExtractorSummary",
    "Facet",
    "FacetValue",
    "Facets",
    "Failure",
    "GoneRoot",
    "Hit",
    "ImageChanged",
    "ImageDetails",
    "ImageError",
    "ImageNotFound",
    "ImageTooLarge",
    "ImageVanished",
    "Index",
    "IndexStatus",
    "InvalidValue",
    "Limits",
    "MapNotFound",
    "MapPoints",
    "MetadataOffer",
    "NearPair",
    "NotEnoughSamples",
    "Pca",
    "ProcessLost",
    "Progress",
    "Projection",
    "ProjectionNotFound",
    "ProjectionSummary",
    "ProjectionVersion",
    "Recipe",
    "Refinement",
    "Review",
    "ReviewCount",
    "ReviewGroup",
    "ReviewImage",
    "RightMissing",
    "RowGone",
    "SchemaOutOfDate",
    "Settings",
    "ShardedIndex",
    "ShardedPca",
    "Shards",
    "SourceBroken",
    "SpocdbError",
    "Statements",
    "StoredEvaluation",
    "StoredImage",
    "Tables",
    "Thresholds",
    "Throughput",
    "Thumbnail",
    "UnknownChoice",
    "UnreadableImage",
    "VariantRecall",
    "WeightsNotFound",
    "WorkerOptions",
    "__version__",
    "connect",
    "connect_shards",
]


# Hidden from type checkers, which would accept any attribute of a module with `__getattr__`.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used; errors first, which import faster."""
        if name in __all__:
            for module in ("spocdb.errors", "spocdb.api"):
                if hasattr(found := import_module(module), name):
                    # Cache it, so that the next access does not call this function.
                    globals()[name] = getattr(found, name)
                    return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
