"""A batch: images, descriptors and failures that are written in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from spocdb.errors import ImageError
from spocdb.records import ImageRef, NewDescriptor, SmallPicture
from spocdb.text import shortened

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written in one transaction.

    `images` pairs each image with the sha256 of its bytes. A sha256 that is not in `descriptors`
    has a stored raw descriptor. `exif` maps a sha256 to the EXIF metadata of its file.
    """

    images: Sequence[tuple[ImageRef, bytes]] = ()
    descriptors: Mapping[bytes, NewDescriptor] = field(default_factory=dict)
    failures: Sequence[tuple[ImageRef, ImageError]] = ()
    exif: Mapping[bytes, dict[str, Any]] = field(default_factory=dict)

    @property
    def pictures(self) -> dict[bytes, SmallPicture]:
        """Return the small pictures that came with the descriptors of its images, by sha256."""
        made = {sha256: self.descriptors.get(sha256) for _, sha256 in self.images}
        return {key: new.small for key, new in made.items() if new and new.small}

    def items(self) -> list["Batch"]:
        """Return batches of one image each."""
        return [
            *(
                Batch([image], _only(self.descriptors, image[1]), exif=_only(self.exif, image[1]))
                for image in self.images
            ),
            *(Batch(failures=[failure]) for failure in self.failures),
        ]

    def failed(self, error: ImageError) -> "Batch":
        """Return a batch in which each image has failed, under a name that can be stored."""
        refs = [ref for ref, _ in (*self.images, *self.failures)]
        return Batch(failures=[(replace(ref, name=shortened(ref.name)), error) for ref in refs])


def _only(known: Mapping[bytes, Value], sha256: bytes) -> dict[bytes, Value]:
    return {sha256: known[sha256]} if sha256 in known else {}
