"""Measuring how near duplicates of a collection are, in review mode."""

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from spocdb.api import Calibration, Database
from spocdb.errors import ConfigError, InvalidValue
from spocdb.thresholds import fewest_pictures
from spocdb.web import changes as following
from spocdb.web import problems
from spocdb.web.changes import Change, Changes, Progress
from spocdb.web.models import Model
from spocdb.web.notes import noted
from spocdb.web.requests import Collection, Db
from spocdb.web.routes.duplicates import Level, Verdict
from spocdb.web.routes.projections import InReview

# The command changes more. A server has other work, and a request cannot be taken back.
MOST_IMAGES = 1000
# As many as the command, unless the precision takes more.
USUAL_IMAGES = 200

# The calibrations of one server: what each measured, and the warnings.
Calibrations = Changes[tuple[Calibration, list[str]]]

router = APIRouter(prefix="/collections/{name}/duplicates", tags=["duplicates"])


class Asked(Model):
    """How to calibrate.

    `images` pictures, chosen by `seed`, are changed as people change copies; null: 200, or as many
    as the precision takes. `precision` is the part of what is found that should be right if each
    picture has `copies` copies.
    """

    images: int | None = Field(None, ge=1, le=MOST_IMAGES)
    precision: float = Field(0.99, ge=0.5, lt=1)
    copies: float = Field(1.0, ge=1e-6, le=100)
    seed: int = Field(0, ge=-(2**63), lt=2**63)


class CurvePoint(Model):
    """Precision and recall up to a distance; `scene_recall` is that of copies of all kinds."""

    distance: float
    precision: float
    recall: float
    scene_recall: float


class VariantRecall(Model):
    """How many copies of a kind are found: by the distance `alone`, in all, within the scene."""

    name: str
    level: Level
    alone: float
    recall: float
    scene: float


class NearPair(Model):
    """Two images that nobody had decided about; `agree`: taken for copies by their signatures.

    `verdict` is what was decided since.
    """

    id: int
    path: str
    other_id: int
    other_path: str
    distance: float
    agree: bool
    verdict: Verdict | None = None


class Measured(Model):
    """What was measured, and which thresholds are stored with the projection.

    `picture` is null, and nothing is stored, if no distance has the wanted precision. `nearest`
    are the nearest pairs that are still there: decide about copies among them, and calibrate again.
    """

    projection: int
    n_images: int
    precision: float
    copies: float
    seed: int
    n_taken: int
    picture: float | None
    scene: float | None
    bits: int | None
    found_precision: float | None
    recall: float | None
    variants: list[VariantRecall]
    curve: list[CurvePoint]
    nearest: list[NearPair]


class Calibrating(Model):
    """How a calibration goes: `n_done` of `n_due` pictures are changed and embedded.

    `said` is why it failed; `measured` is there when it is done, with `notes` about it.
    """

    collection: str
    state: Literal["running", "done", "failed"]
    n_done: int
    n_due: int
    said: str
    began_at: datetime
    ended_at: datetime | None
    measured: Measured | None = None
    notes: list[str] = Field(default_factory=list)


async def _calibrations(request: Request) -> Calibrations:
    calibrations: Calibrations = request.app.state.calibrations
    return calibrations


Known = Annotated[Calibrations, Depends(_calibrations)]


@router.get("/calibrate")
def calibration(
    request: Request, db: Db, name: Collection, calibrations: Known
) -> Calibrating | None:
    """Return the latest calibration that this server was asked for."""
    db.collection(name)
    last = calibrations.last(name)
    return None if last is None else state_of(request, db, last)


@router.post("/calibrate", dependencies=[InReview], responses={202: {"model": Calibrating}})
def calibrate(
    request: Request,
    response: Response,
    db: Db,
    name: Collection,
    calibrations: Known,
    asked: Asked,
) -> Calibrating:
    """Measure how near copies are, in review mode, and store the thresholds with the projection.

    What takes longer than a moment is answered with 202, and `GET` tells how it goes. It goes on if
    nobody asks. A server that is stopped ends it, and nothing is stored.
    """
    db.collection(name)
    options = asked.model_dump() | {"images": _images(asked)}
    progress = Progress()

    def action(own: Database) -> tuple[Calibration, list[str]]:
        on_done = partial(progress.tell, "changed")
        with noted() as notes:
            measured = own.duplicates.calibrate(name, **options, on_done=on_done)
        return measured, notes

    busy = problems.Refusal(
        *(409, "calibration-running"),
        "this server calibrates already: wait until that is done",
    )
    change = following.begun(response, calibrations, name, action, busy, progress)
    return state_of(request, db, change)


def _images(asked: Asked) -> int:
    """Return how many pictures to change, within what the precision takes and a server allows."""
    fewest = fewest_pictures(asked.precision, asked.copies)
    if fewest > MOST_IMAGES:
        raise ConfigError(
            f"this precision takes {fewest:,} images, and a server takes {MOST_IMAGES:,} at most: "
            "ask for less, or run `db.duplicates.calibrate()`",
            field="precision",
        )
    images = max(USUAL_IMAGES, fewest) if asked.images is None else asked.images
    if images < fewest:
        bound = f"{fewest:,} to {MOST_IMAGES:,} for this precision"
        raise InvalidValue("images", images, bound)
    return images


def state_of(
    request: Request, db: Database, change: Change[tuple[Calibration, list[str]]]
) -> Calibrating:
    """Return how a calibration goes, with what was decided since about its nearest pairs."""
    _, n_done, n_due = change.progress.at
    state = Calibrating(**following.state_of(request, change), n_done=n_done, n_due=n_due)
    if state.state != "done":
        return state
    measured, notes = change.result.result()
    found = Measured.model_validate(measured)
    nearest = _decided(db, change.collection, found.nearest)
    found = found.model_copy(update={"nearest": nearest})
    return state.model_copy(update={"measured": found, "notes": notes})


def _decided(db: Database, name: str, pairs: list[NearPair]) -> list[NearPair]:
    """Return the pairs that are still there, with what was decided about them."""
    ids = [(pair.id, pair.other_id) for pair in pairs]
    verdicts = db.duplicates.verdicts(ids, collection=name)
    return [
        pair.model_copy(update={"verdict": verdicts[key]})
        for key, pair in zip(ids, pairs, strict=True)
        if key in verdicts
    ]
