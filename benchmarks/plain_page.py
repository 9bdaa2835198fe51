"""The peer of the page of `spocdb serve`: a page of pictures as one writes it in twenty lines.

    python -m benchmarks.plain_page URL COLLECTION PORT

An `<img loading=lazy>` for each of the newest 1,000 images, and a route that returns a thumbnail.
"""

import sys

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from psycopg_pool import ConnectionPool

N_SHOWN = 1000
NEWEST = """
SELECT i.id FROM spocdb.images i JOIN spocdb.collections c ON c.id = i.collection_id
WHERE c.name = %s ORDER BY i.id DESC LIMIT %s
"""
THUMBNAIL = """
SELECT t.webp FROM spocdb.images i JOIN spocdb.thumbnails t ON t.sha256 = i.sha256 WHERE i.id = %s
"""
STYLE = "<style>img { width: 180px; height: 135px; object-fit: cover }</style>"


def create(url: str, collection: str) -> FastAPI:
    """Return the page's application."""
    pool = ConnectionPool(url, max_size=10, open=True)
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        with pool.connection() as connection:
            rows = connection.execute(NEWEST, [collection, N_SHOWN]).fetchall()
        pictures = "".join(f'<img loading=lazy src="/thumbnail/{id}">' for (id,) in rows)
        return HTMLResponse(f"<!doctype html><title>plain</title>{STYLE}{pictures}")

    @app.get("/thumbnail/{id}")
    def thumbnail(id: int) -> Response:
        with pool.connection() as connection:
            row = connection.execute(THUMBNAIL, [id], binary=True).fetchone()
        return Response(bytes(row[0]) if row else b"", media_type="image/webp")

    return app


if __name__ == "__main__":
    uvicorn.run(create(*sys.argv[1:3]), port=int(sys.argv[3]), log_level="error")
