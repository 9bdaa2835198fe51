"""What a request asks for: its database, its collection, a picture and how to search."""

import json
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from spocdb import errors
from spocdb.api import Crop, Database, Refinement
from spocdb.filters import Filter
from spocdb.web.addresses import name_of
from spocdb.web.options import Bounds, ServerOptions

# PostgreSQL's bigint.
LARGEST_ID = 2**63 - 1
LONGEST_FILTER = 4000
# So many images may be named as liked, and so many as disliked.
MOST_MARKED = 100

NAME = "a collection's name; `/`, `.` and `~` in it are written `~2F`, `~2E` and `~7E`"

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Ids = Annotated[list[Id], Query(max_length=MOST_MARKED)]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many a page")]
ImageId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="the image's id")]


# Dependencies are coroutines: FastAPI would hand a plain function to a thread.
async def _database(request: Request) -> Database:
    return Database(request.app.state.engine)


async def _options(request: Request) -> ServerOptions:
    options: ServerOptions = request.app.state.options
    return options


Db = Annotated[Database, Depends(_database)]
Options = Annotated[ServerOptions, Depends(_options)]


async def _collection(
    name: Annotated[str, Path(min_length=1, max_length=3 * 63, description=NAME)],
    options: Options,
) -> str:
    found = name_of(name)
    check_shown(options, found)
    return found


Collection = Annotated[str, Depends(_collection)]


def check_shown(options: ServerOptions, name: str) -> None:
    """Refuse a collection that this server does not show.

    Raises:
        CollectionNotFound: it is none of the options' collections.
    """
    if not is_shown(options, name):
        raise errors.CollectionNotFound(f"there is no collection named {name} here")


def is_shown(options: ServerOptions, name: str) -> bool:
    """Tell whether this server shows a collection."""
    return not options.collections or name in options.collections


async def _picture(request: Request) -> bytes:
    """Return the body, which is an image file."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(415, "send the picture itself as the body, not a form")
    if not (data := await request.body()):
        raise HTTPException(400, "the body is empty: send a picture as the body")
    return data


Picture = Annotated[bytes, Depends(_picture)]
# FastAPI does not see a body that is read from the request itself.
PICTURE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


Texts = Annotated[
    list[str],
    Field(
        max_length=100,
        description="a condition on the metadata, such as `year>=2023`, or JSON; repeatable",
    ),
]


class Search(BaseModel):
    """How to search."""

    k: int = Field(10, ge=1, description="how many results")
    filter: Texts = Field(default_factory=list)
    exact: bool = Field(False, description="compare all embeddings, without the index")
    recall: float | None = Field(
        None,
        gt=0,
        le=1,
        description="the part of the nearest that a search by the index finds; the collection's",
    )
    expand: int = Field(0, ge=0, description="query expansion by the N nearest")
    alpha: float = Field(3.0, ge=0, le=100, description="the expansion's exponent")
    rerank: int = Field(0, ge=0, description="re-rank the N nearest")
    projection: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="one that the collection keeps; the active one"
    )
    max_distance: float | None = Field(
        None, ge=0, le=2, description="leave out images farther than this"
    )
    within: float | None = Field(
        None,
        ge=0,
        le=2,
        description="instead of `k` and `max_distance`: all images up to this distance, compared "
        "exactly; refused if there are more than a search may return",
    )

    collapse: bool = Field(
        False,
        description="show a group of duplicates once, by its nearest image: `k` groups",
    )

    def arguments(self, bounds: Bounds) -> dict[str, Any]:
        """Return the arguments for the library's search.

        Raises:
            InvalidValue: a number is above the server's bound.
            ConfigError: a condition is malformed, or `within` is given beside what it replaces.
        """
        if self.within is not None and self.model_fields_set & {"k", "max_distance"}:
            message = "`within` finds all images: leave out `k` and `max_distance`"
            raise errors.ConfigError(message, field="within")
        for name in ("k", "expand", "rerank"):
            if getattr(self, name) > (most := getattr(bounds, name)):
                raise errors.InvalidValue(name, getattr(self, name), f"at most {most} here")
        return {
            "filter": conditions(self.filter),
            "refinement": Refinement(self.expand, self.alpha, self.rerank),
            "projection": self.projection,
            "recall": self.recall,
            "collapse": self.collapse,
            **self._limits(bounds),
        }

    def check(self, n_found: int, bounds: Bounds) -> None:
        """Refuse an answer that would leave out images within the distance.

        Raises:
            InvalidValue: more images are as near as that than this server returns.
        """
        if self.within is not None and n_found > bounds.k:
            near = f"a smaller distance; more than {bounds.k} images are as near as that"
            raise errors.InvalidValue("within", self.within, near)

    def _limits(self, bounds: Bounds) -> dict[str, Any]:
        if self.within is None:
            return {"k": self.k, "exact": self.exact, "max_distance": self.max_distance}
        # One more tells whether there are more than may be returned.
        return {"k": bounds.k + 1, "exact": True, "max_distance": self.within}


Searched = Annotated[Search, Query()]


def conditions(texts: list[str]) -> Filter:
    """Return the conditions of all texts, each in spocdb's grammar or JSON.

    Raises:
        InvalidValue: a text is too long.
        ConfigError: a text that begins like JSON is none.
    """
    for text in texts:
        if len(text) > LONGEST_FILTER:
            bound = f"at most {LONGEST_FILTER} characters"
            raise errors.InvalidValue("filter", f"{len(text)} characters", bound)
    return [part for text in texts for part in _parts(text)]


async def _conditions(filter: Annotated[Texts, Query(default_factory=list)]) -> Filter:
    return conditions(filter)


Conditions = Annotated[Filter, Depends(_conditions)]


def _parts(text: str) -> list[Any]:
    if not text.lstrip().startswith(("{", "[")):
        return [text]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise errors.ConfigError(f"filter: {text[:60]!r} is not JSON", field="filter") from exc
    return [found] if isinstance(found, dict) else found


async def _crop(
    crop: Annotated[
        str | None,
        Query(
            pattern=r"^\d{1,9},\d{1,9},\d{1,9},\d{1,9}$",
            description="X,Y,WIDTH,HEIGHT in pixels of the upright picture",
        ),
    ] = None,
) -> Crop | None:
    return Crop(*map(int, crop.split(","))) if crop else None


Part = Annotated[Crop | None, Depends(_crop)]
