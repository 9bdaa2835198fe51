"""Whether the server runs and can answer, and its metrics."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from spocdb.web.requests import Db

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer as long as the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(db: Db) -> dict[str, str]:
    """Answer 200 if the database answers, else a problem with 503."""
    db.check()
    return {"status": "ok"}


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus."""
    shown: Response = request.app.state.metrics.shown()
    return shown
