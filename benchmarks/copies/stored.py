"""spocdb's part: pictures are ingested, duplicates found, and pairs and groups read back."""

from dataclasses import dataclass

import numpy as np

from benchmarks.copies.grouping import Grouped, judged
from benchmarks.copies.halves import BoolArray, Half
from benchmarks.copies.peers import cosine_distances
from spocdb.api import Database
from spocdb.projections import DEFAULT_DIM
from spocdb.records import Float32Array

NEAR = """
SELECT i.path, n.path
FROM spocdb.collections c JOIN spocdb.images i ON i.collection_id = c.id,
    spocdb.near_duplicates(c.name, i.id) n
WHERE c.name = %s
"""


@dataclass(frozen=True, slots=True)
class Spocdb:
    """spocdb with an extractor, as an ingest leaves it, or whitened by the other half."""

    db: Database
    extractor: str
    is_whitened: bool

    @property
    def name(self) -> str:
        """Return the name in tables."""
        return f"spocdb, {self.extractor}" + (", whitened" if self.is_whitened else "")

    def compare(self, half: Half, other: Half) -> "Stored":
        """Ingest the pictures, and those of the other half if a PCA is fitted on them."""
        name = self._ingested(half)
        if self.is_whitened:
            dim = min(DEFAULT_DIM, len(other.files) // 2)
            number = self.db.pca.fit(self._ingested(other), dim=dim, regularisation="auto")
            self.db.pca.activate(number, name)
        return Stored(self.db, name, half)

    def _ingested(self, half: Half) -> str:
        """Return the collection of a half; another ingest of the same files changes nothing."""
        name = "-".join(half.folder.parts[-2:])
        self.db.ingest(half.folder, collection=name, extractor=self.extractor, thumbnails=False)
        return name


class Stored:
    """A collection of a half's pictures."""

    def __init__(self, db: Database, name: str, half: Half) -> None:
        self._db, self._name, self._half = db, name, half
        self._index = {str(shown.file): index for index, shown in enumerate(half.files)}
        self.distances = self._distances()

    def near(self, most: float) -> BoolArray:
        """Find the duplicates up to a distance, and return which pairs (n, n) the database has."""
        self._db.duplicates.find(self._name, distance=most)
        with self._db.engine.connection() as connection:
            found = connection.execute(NEAR, [self._name]).fetchall()
        near = np.zeros((len(self._index), len(self._index)), bool)
        for one, other in found:
            near[self._index[one], self._index[other]] = True
        return near

    def groups(self, most: float) -> Grouped:
        """Find the duplicates up to a distance, and count the groups that the database has."""
        self._db.duplicates.find(self._name, distance=most)
        members = [
            {self._index[image.path] for image in (group.keeper, *group.others)}
            for group in self._db.duplicates.groups(self._name)
        ]
        return judged(members, self._half)

    def _distances(self) -> Float32Array:
        ids, embeddings = self._db.embeddings(self._name)
        by_id = {
            image.id: self._index[image.path]
            for image in self._db.images(collection=self._name, embeddings=False)
        }
        ordered = np.empty_like(embeddings)
        ordered[[by_id[int(id)] for id in ids]] = embeddings
        return cosine_distances(ordered)
