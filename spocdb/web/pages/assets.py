"""Style sheet, modules and icon of the page, in memory: a request names one, never a path.

The address holds a hash of all of them, so that browsers may keep them for good. The modules
import each other by relative addresses, which lead to the same hash.
"""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

router = APIRouter(include_in_schema=False)


@cache
def contents() -> dict[str, bytes]:
    """Return the files by their names."""
    folder = files("spocdb.web").joinpath("static")
    found = sorted(folder.iterdir(), key=lambda file: file.name)
    return {file.name: file.read_bytes() for file in found if PurePath(file.name).suffix in TYPES}


@cache
def version() -> str:
    """Return a hash of all files."""
    digest = hashlib.sha256()
    for name, data in contents().items():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def address(name: str) -> str:
    """Return the address of a file."""
    return f"/static/{version()}/{name}"


@router.get("/static/{asked}/{name}")
def static(request: Request, asked: str, name: str) -> Response:
    """Return a file; an older page that is still open gets the present one."""
    if name not in contents():
        raise HTTPException(404, f"there is no file {name} here")
    tag = f'"{version()}"'
    keep = "public, max-age=31536000, immutable" if asked == version() else "no-cache"
    headers = {"ETag": tag, "Cache-Control": keep}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    kind = TYPES[PurePath(name).suffix]
    return Response(contents()[name], media_type=kind, headers=headers)
