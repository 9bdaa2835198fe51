"""What the HTTP API answers with; each model is made from the record of the same name."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator


class Model(BaseModel):
    """Reads its fields from a record's attributes."""

    model_config = ConfigDict(from_attributes=True)


class Collection(Model):
    """A collection and its state; `dim` is the dimension N of its embeddings."""

    name: str
    extractor: str
    n_images: int
    n_failures: int
    projection: int
    dim: int
    created_at: datetime


class Hit(Model):
    """A result; `distance` is the cosine distance, 0 is the same and 2 the opposite.

    `width` and `height` are of the upright image, in pixels; null if it was deleted meanwhile.
    `n_duplicates` other images are in its group of duplicates; null without `collapse`.
    """

    id: int
    path: str
    distance: float
    width: int | None = None
    height: int | None = None
    metadata: dict[str, Any]
    method: str
    n_duplicates: int | None = None


class Found(Model):
    """The results of a search, nearest first; `notes` say why a filter finds nothing."""

    collection: str
    hits: list[Hit]
    notes: list[str]


class Projection(Model):
    """A projection as a version of a collection; `explained` is each component's part of variance.

    `is_kept` tells that the collection has embeddings by it, `is_indexed` that these have their
    index, `is_previous` that a rollback leads to it. `fitted_on` are collections. `kind` is raw,
    pca, discriminative or head; the last two are learned from `n_pairs` of matching images.
    `scarcity` says that it was fitted on few images or pairs for its dimensions.
    """

    number: int
    kind: str
    extractor: str
    dim: int
    n_samples: int
    n_pairs: int | None
    scarcity: str | None
    settings: dict[str, Any]
    fitted_on: list[str]
    created_at: datetime
    is_active: bool
    is_previous: bool
    is_kept: bool
    is_indexed: bool
    explained: list[float]

    @field_validator("fitted_on", mode="before")
    @classmethod
    def _names(cls, about: Any) -> Any:
        return about.get("collections", []) if isinstance(about, dict) else about


class Change(BaseModel):
    """A change of a collection's active projection; `said` is what it does, or why it failed."""

    collection: str
    state: Literal["running", "done", "failed"]
    projection: int | None = None
    said: str
    began_at: datetime
    ended_at: datetime | None


class Statement(Model):
    """A statement of SQL."""

    sql: str


class Embedding(Model):
    """An embedding (N,) of length one, for `ORDER BY embedding <#> $1` in SQL."""

    collection: str
    dim: int
    embedding: list[float]


class Image(Model):
    """All that is known about an image; see `spocdb images show`."""

    id: int
    collection: str
    path: str
    table: str | None
    size: int
    width: int
    height: int
    sha256: str
    metadata: dict[str, Any]
    ingested_at: datetime
    modified: datetime | None
    descriptors: list[str]
    projections: list[int]
    active: int
    copies: list[str]
    failure: str | None


class Listed(Model):
    """An image in a listing; width and height are of the upright image, in pixels."""

    id: int
    path: str
    width: int
    height: int
    metadata: dict[str, Any]
    ingested_at: datetime


class Page(Model):
    """A page of images, newest first.

    `next` is the `before` of the next page, null on the last one; `n_images` match in all, counted
    for the first page only.
    """

    collection: str
    images: list[Listed]
    next: int | None
    n_images: int | None
    notes: list[str]


class Map(Model):
    """How a map was made; `n_placed` of the images have a position on it.

    `n_embedded` have an embedding by the projection; those that came after the map lack a position.
    `points` sends about `n_shown` positions: a sample if the map has more.

    `method` is umap, with `settings`, or components: the projection's first two.
    """

    collection: str
    projection: int
    method: Literal["umap", "components"]
    settings: dict[str, Any]
    made_at: datetime
    n_placed: int
    n_embedded: int
    n_shown: int


class FacetValue(Model):
    """A value of a key, and how many images have it."""

    value: Any
    n_images: int


class Facet(Model):
    """A key of the metadata: its most frequent values, or the range of numbers or dates.

    `n_values` is the number of different values: more than `values` has if some were left out, as
    those beyond 20 and those longer than 200 characters are.
    """

    key: str
    kind: Literal["values", "number", "date"]
    n_values: int
    values: list[FacetValue]
    least: Any
    greatest: Any


class Facets(Model):
    """The facets of a collection, of the images that match.

    `n_counted` images were counted: all, or the newest of more if `is_partial`. `n_keys` is the
    number of different keys: more than `facets` has if some were left out, as those beyond 50 and
    those longer than 200 characters are.
    """

    n_counted: int
    is_partial: bool
    n_keys: int
    facets: list[Facet]


class Failure(Model):
    """An image that could not be stored, and why."""

    collection: str
    path: str
    reason: str
    message: str
    failed_at: datetime


class Failures(Model):
    """A page of failures, by path; `next` is the `after` of the next page, null on the last one."""

    collection: str
    failures: list[Failure]
    next: str | None


class Coverage(Model):
    """How far a collection is embedded by one of its projections; see `spocdb status`."""

    collection: str
    projection: int
    active: bool
    relation: str | None
    rows: int | None
    embedded: int
    pending: int
    leased: int
    failed: int
    problem: str | None
