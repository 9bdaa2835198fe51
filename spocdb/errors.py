"""Every error that spocdb raises on purpose.

SpocdbError
├─ ConfigError
│  ├─ InvalidValue
│  ├─ UnknownChoice
│  └─ WeightsNotFound
├─ ImageError
│  ├─ UnreadableImage
│  ├─ ImageTooLarge
│  ├─ ImageVanished
│  │  └─ RowGone
│  ├─ ImageChanged
│  ├─ AddressRefused
│  ├─ ProcessLost
│  ├─ DatabaseRefused
│  └─ EmptyCrop
├─ DescriptorError
│  ├─ DimensionMismatch
│  └─ NotEnoughSamples
├─ ClusterLost
└─ DatabaseError
   ├─ SchemaOutOfDate
   ├─ DatabaseLost
   ├─ DatabaseBusy
   ├─ RightMissing
   ├─ SourceBroken
   ├─ ExtractorChanged
   ├─ CollectionNotFound
   ├─ ProjectionNotFound
   ├─ MapNotFound
   ├─ DuplicatesNotFound
   └─ ImageNotFound

A message is one line that ends with what to do next. It speaks Python: parameters and calls stand
in backticks, such as `dim=64` or `db.pca.list()`, and the command line shows the option or the
command instead. docs/reference/errors.md lists the codes, and shows the first sentence of each
docstring below as the meaning.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from spocdb.redaction import redact
from spocdb.text import one_line


class SpocdbError(Exception):
    """An error that spocdb raises on purpose: the base of all.

    No message shows a password or token.

    Attributes:
        code: names the kind of error for programs; it stays when a message or a class changes.
        field: the Python parameter that is wrong, if it is one, such as "alpha".
        bound: the allowed values of that parameter, as a text or a sequence.
    """

    code: ClassVar[str] = "error"

    def __init__(
        self, message: str = "", *, field: str | None = None, bound: object = None
    ) -> None:
        super().__init__(redact(message))
        self.field, self.bound = field, bound

    def __reduce__(self) -> "tuple[Any, ...]":
        # By the message, as some classes have other parameters: errors go from process to process.
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(
    kind: type[SpocdbError], args: tuple[Any, ...], values: dict[str, Any]
) -> SpocdbError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(values)
    return error


class ConfigError(SpocdbError):
    """The request cannot be done as asked: an option or a file is wrong."""

    code = "config-error"


class InvalidValue(ConfigError):
    """A parameter's value is outside its bound."""

    code = "invalid-value"

    def __init__(self, field: str, value: object, bound: str) -> None:
        super().__init__(f"{field} must be {bound}, not {value}", field=field, bound=bound)


class UnknownChoice(ConfigError):
    """A parameter's value is not one of the choices."""

    code = "unknown-choice"

    def __init__(self, field: str, value: object, known: Iterable[object]) -> None:
        choices = tuple(map(str, known))
        message = f"unknown {field} {value!r}: one of {', '.join(choices)}"
        super().__init__(message, field=field, bound=choices)


class WeightsNotFound(ConfigError):
    """The weights of an extractor are not on this machine and could not be downloaded."""

    code = "weights-not-found"


class ImageError(SpocdbError):
    """One image is bad: the base of what can be wrong with it.

    A run continues and lists the image among its failures. The message often quotes a server or a
    decoder, so it is cleaned here: one line, no NUL.
    """

    code = "image-error"

    def __init__(
        self, message: str = "", *, field: str | None = None, bound: object = None
    ) -> None:
        super().__init__(one_line(redact(message)), field=field, bound=bound)


class UnreadableImage(ImageError):
    """The bytes are no image that spocdb can read."""

    code = "unreadable-image"


class ImageTooLarge(ImageError):
    """The image has more pixels or bytes than the limits allow."""

    code = "image-too-large"


class ImageVanished(ImageError):
    """The image was listed, but cannot be read now: a file is gone, or a URL cannot be fetched."""

    code = "image-vanished"


class RowGone(ImageVanished):
    """The row of an attached table was deleted, or does not belong to the collection any more."""

    code = "row-gone"


class ImageChanged(ImageError):
    """The file has other bytes than when it was ingested."""

    code = "image-changed"


class AddressRefused(ImageError):
    """A URL leads to an address that is not public."""

    code = "address-refused"


class ProcessLost(ImageError):
    """The processes that worked on the image died: out of memory, or a crash of its decoder."""

    code = "process-lost"


class DatabaseRefused(ImageError):
    """The database takes no such path, key, metadata or message."""

    code = "database-refused"


class EmptyCrop(ImageError):
    """The crop does not touch the image."""

    code = "empty-crop"


class DescriptorError(SpocdbError):
    """Numbers do not fit together, or are not finite."""

    code = "descriptor-error"


class DimensionMismatch(DescriptorError):
    """Two vectors that must have the same dimension do not."""

    code = "dimension-mismatch"

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"expected {expected} dimensions, got {got}", bound=expected)
        self.expected, self.got = expected, got


class NotEnoughSamples(DescriptorError):
    """There are too few images for the requested PCA or codebook."""

    code = "not-enough-samples"


class ClusterLost(SpocdbError):
    """The Ray cluster cannot be reached, or its nodes were lost."""

    code = "cluster-lost"


class DatabaseError(SpocdbError):
    """The database refused a statement; the driver's error is the `__cause__`."""

    code = "database-error"


class SchemaOutOfDate(DatabaseError):
    """The schema spocdb is missing, older or newer than this program."""

    code = "schema-out-of-date"


class DatabaseLost(DatabaseError):
    """The connection was lost or could not be opened; a retry may work later."""

    code = "database-lost"


class DatabaseBusy(DatabaseError):
    """All connections of the engine were in use for 30 s."""

    code = "database-busy"


class RightMissing(DatabaseError):
    """The role that the database was opened with lacks a right."""

    code = "right-missing"


class SourceBroken(DatabaseError):
    """An attached table was dropped or altered since it was attached."""

    code = "source-broken"


class ExtractorChanged(DatabaseError):
    """Another process changed the collection's extractor meanwhile."""

    code = "extractor-changed"


class CollectionNotFound(DatabaseError):
    """There is no collection of this name."""

    code = "collection-not-found"


class ProjectionNotFound(DatabaseError):
    """There is no projection of this number."""

    code = "projection-not-found"


class MapNotFound(DatabaseError):
    """No map of the collection has been made by this projection."""

    code = "map-not-found"


class DuplicatesNotFound(DatabaseError):
    """No duplicates of the collection were looked for by its active projection."""

    code = "duplicates-not-found"


class ImageNotFound(DatabaseError):
    """There is no image with this id in the collection."""

    code = "image-not-found"
