"""Whether the server runs and can answer, and its metrics."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from spocdb.errors import SpocdbError
from spocdb.web import problems
from spocdb.web.requests import Db

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer as long as the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(request: Request, db: Db) -> Response:
    """Answer 200 if the database answers, else a problem with 503."""
    try:
        db.check()
    except SpocdbError as error:
        # Anybody may ask, so the answer names no host and no role.
        problems.note(request, error)
        return problems.response(503, "the database is not ready: see the log", error.code)
    return JSONResponse({"status": "ok"})


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus."""
    shown: Response = request.app.state.metrics.shown()
    return shown
