"""Every error that spocdb raises on purpose.

SpocdbError
├─ ConfigError                what was asked for cannot be done as asked
│  └─ WeightsNotFound         no weights file, and none could be downloaded
├─ ImageError                 one image is bad, the batch goes on
│  ├─ UnreadableImage         the bytes are no image that spocdb can read
│  ├─ ImageTooLarge           more pixels than the limit allows
│  ├─ ImageVanished           the file was there when the folder was listed, and is not now
│  ├─ ImageChanged            the file has other bytes than when it was ingested
│  ├─ AddressRefused          a URL leads to an address that is not public
│  ├─ ProcessLost             the process that had it died: out of memory, or a decoder's crash
│  ├─ DatabaseRefused         the database takes no such path, key, metadata or message
│  └─ EmptyCrop               the crop does not touch the image
├─ DescriptorError
│  ├─ DimensionMismatch       two vectors that must fit do not
│  └─ NotEnoughSamples        too few images for the PCA that was asked for
└─ DatabaseError              the driver's error is the __cause__
   ├─ SchemaOutOfDate         the schema is missing, older or newer than this program
   ├─ DatabaseLost            the connection broke, or could not be made
   ├─ SourceBroken            an attached table is not what it was when it was attached
   ├─ ExtractorChanged        the collection got another extractor meanwhile
   ├─ CollectionNotFound
   ├─ ProjectionNotFound
   └─ ImageNotFound           no image with this id in the collection

A message is one line that ends with what to do next. The command line catches SpocdbError once.
"""

from spocdb.redaction import redact
from spocdb.text import one_line


class SpocdbError(Exception):
    """Base of all errors that spocdb raises on purpose; no message shows a password or token."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class ConfigError(SpocdbError):
    """What was asked for cannot be done as asked."""


class WeightsNotFound(ConfigError):
    """The weights of an extractor are not on this machine and could not be downloaded."""


class ImageError(SpocdbError):
    """One image is bad; the run goes on and lists it among its failures.

    Its message often quotes a server or a decoder, so it is cleaned here: one line, no NUL.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(redact(message)))


class UnreadableImage(ImageError):
    """The bytes are no image that spocdb can read."""


class ImageTooLarge(ImageError):
    """The image has more pixels than the limit allows."""


class ImageVanished(ImageError):
    """The file could not be opened although the folder listed it."""


class ImageChanged(ImageError):
    """The file has other bytes than when it was ingested."""


class AddressRefused(ImageError):
    """A URL leads to an address that is not public."""


class ProcessLost(ImageError):
    """The processes that worked on the image died: out of memory, or a crash of its decoder."""


class DatabaseRefused(ImageError):
    """The database takes no such path, key, metadata or message."""


class EmptyCrop(ImageError):
    """The crop does not touch the image."""


class DescriptorError(SpocdbError):
    """Numbers that do not fit together."""


class DimensionMismatch(DescriptorError):
    """Two vectors that must have the same dimension do not."""

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"expected {expected} dimensions, got {got}")
        self.expected, self.got = expected, got


class NotEnoughSamples(DescriptorError):
    """Too few images for the PCA that was asked for."""


class DatabaseError(SpocdbError):
    """The database refused or went away; the driver's error is the cause."""


class SchemaOutOfDate(DatabaseError):
    """The schema spocdb is missing, older or newer than this program."""


class DatabaseLost(DatabaseError):
    """The connection broke, or could not be made: the same may work later."""


class SourceBroken(DatabaseError):
    """An attached table is not what it was when it was attached."""


class ExtractorChanged(DatabaseError):
    """The collection got another extractor meanwhile."""


class CollectionNotFound(DatabaseError):
    """There is no collection of this name."""


class ProjectionNotFound(DatabaseError):
    """There is no projection of this number."""


class ImageNotFound(DatabaseError):
    """There is no image with this id in the collection."""
