"""The application: routes, guards and errors, put together for one engine."""

from fastapi import APIRouter, Depends, FastAPI

from spocdb import __version__
from spocdb.api import Engine
from spocdb.web import problems
from spocdb.web.changes import Changes
from spocdb.web.guard import Guard
from spocdb.web.metrics import Measured, Metrics
from spocdb.web.options import ServerOptions
from spocdb.web.pages import assets, copies, looking, mapping, sign_in
from spocdb.web.parameters import only_known
from spocdb.web.routes import (
    browsing,
    calibrating,
    collections,
    duplicates,
    finding,
    health,
    images,
    maps,
    projections,
    review,
    search,
    statements,
)
from spocdb.web.routes.calibrating import Calibrations
from spocdb.web.routes.finding import Finds
from spocdb.web.sharing import Shared
from spocdb.web.uploads import BodyLimit

PREFIX = "/api/v1"
# How long a count of the coverage is shared: counting reads every row.
SECONDS_COUNTED = 2.0


def create_app(engine: Engine, options: ServerOptions) -> FastAPI:
    """Return the application that serves an engine's database.

    The engine stays open; whoever opened it closes it.
    """
    app = FastAPI(
        title="spocdb",
        version=__version__,
        summary="Visual similarity search inside your own PostgreSQL.",
        description="A query parameter that a route does not know is refused with 422 and the code "
        "`unknown-parameter`; the message names those that it knows.",
        openapi_url=f"{PREFIX}/openapi.json",
        # They load scripts from other sites.
        docs_url=None,
        redoc_url=None,
    )
    app.state.engine, app.state.options, app.state.metrics = engine, options, Metrics()
    app.state.changes, app.state.finds = Changes[int](engine.settings), Finds(engine.settings)
    app.state.calibrations = Calibrations(engine.settings)
    app.state.coverage = Shared(SECONDS_COUNTED)
    problems.install(app)
    api = APIRouter(prefix=PREFIX, responses=problems.RESPONSES, dependencies=[Depends(only_known)])
    for routes in (
        collections,
        browsing,
        maps,
        search,
        statements,
        projections,
        images,
        duplicates,
        finding,
        calibrating,
        review,
    ):
        api.include_router(routes.router)
    app.include_router(api)
    for pages in (health, assets, sign_in, looking, mapping, copies):
        app.include_router(pages.router)
    # The last one added sees a request first.
    app.add_middleware(BodyLimit, bounds=options.bounds)
    app.add_middleware(Guard, options=options)
    app.add_middleware(Measured, metrics=app.state.metrics)
    return app
