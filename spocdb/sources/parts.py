"""Fetch a part of a file behind a URL, from servers that answer ranges."""

import hashlib
import re
from dataclasses import dataclass
from functools import partial

import httpcore

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.sources.fetching import (
    FETCH_SECONDS,
    Headers,
    answered,
    check_encoding,
    parse,
    status_of,
)

RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
# Statuses of a file that is gone, or has no such bytes any more.
NOT_THERE = (404, 410, 416)
# Characters of an ETag. A longer one is hashed: it is stored with each image of a file.
LONGEST_TAG = 100


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file; the version is of the whole file, and has its size at its end."""

    data: bytes
    version: str
    size: int


def fetch_part(
    url: str,
    start: int,
    end: int,
    *,
    allow_private: bool = False,
    seconds: float = FETCH_SECONDS,
    advice: str = "set SPOCDB_ALLOW_PRIVATE=1",
) -> Part:
    """Fetch the bytes of a file from `start` up to `end`, under the conditions of `fetch`.

    Raises:
        UnreadableImage: The URL can never be fetched, or its server does not send parts of files.
        AddressRefused: An address is not public.
        ImageVanished: Any other failure; its cause is FileNotFoundError if there is no such file.
    """
    asked = (b"Range", b"bytes=%d-%d" % (start, end - 1))
    take = partial(_part, start, end)
    return answered(parse(url), take, (asked,), seconds, None if allow_private else advice)


def _part(start: int, end: int, response: httpcore.Response, headers: Headers) -> Part:
    """Return the part of a file that an answer is."""
    if response.status == 200:
        # The body, which may be large, is not read.
        raise UnreadableImage("its server does not send parts of files: download it first")
    if response.status != 206:
        is_missing = response.status in NOT_THERE
        raise ImageVanished(status_of(response)) from (FileNotFoundError() if is_missing else None)
    check_encoding(headers)
    said = RANGE.fullmatch(headers.get("content-range", ""))
    if said is None or int(said[1]) != start:
        raise ImageVanished("cannot fetch: the server does not say which part it sends")
    size = int(said[3])
    wanted = min(end, size) - start
    data = bytearray()
    for block in response.iter_stream():
        data += block
        if len(data) > wanted:
            break
    if len(data) != wanted:
        raise ImageVanished(f"cannot fetch: {len(data):,} of {wanted:,} bytes")
    tag = (headers.get("etag") or headers.get("last-modified") or "").strip('"')
    if len(tag) > LONGEST_TAG:
        tag = hashlib.sha256(tag.encode()).hexdigest()
    return Part(bytes(data), f'"{tag}" {size}', size)
