"""Thumbnails: small WebP pictures and their signatures, by the sha256 of the images' bytes.

They are stored with the images of a batch, or one at a time on demand. A trigger deletes them with
the last image of these bytes (migrations/sql/functions/forget_thumbnails.sql).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spocdb.db.connections import Connection, one_row
from spocdb.errors import ImageNotFound
from spocdb.records import Signature, SmallPicture


@dataclass(frozen=True, slots=True)
class Content:
    """Where the bytes of an image are: its path or key in a collection, and their sha256 (hex)."""

    id: int
    collection: str
    path: str
    sha256: str


ADD = """
INSERT INTO spocdb.thumbnails (sha256, webp, signature, signature_version)
SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bigint[], %b::smallint[])
ON CONFLICT DO NOTHING
"""

# Locks the image FOR SHARE: whoever deletes it or replaces its bytes then waits until the thumbnail
# is stored, and deletes it. If somebody deletes the image already, nothing is stored.
ADD_MADE = """
WITH held AS (
    SELECT i.sha256 FROM spocdb.images i
    WHERE i.id = %s AND i.sha256 = %s FOR SHARE SKIP LOCKED
)
INSERT INTO spocdb.thumbnails (sha256, webp, signature, signature_version)
SELECT h.sha256, %b, %s, %s FROM held h
ON CONFLICT DO NOTHING
"""

# FOR SHARE needs the right UPDATE. A standby is read-only too.
MAY_ADD = """
SELECT has_table_privilege('spocdb.thumbnails', 'INSERT')
   AND has_table_privilege('spocdb.images', 'UPDATE')
   AND current_setting('transaction_read_only') = 'off'
"""

CONTENT = """
SELECT i.id, c.name, i.path, encode(i.sha256, 'hex')
FROM spocdb.images i JOIN spocdb.collections c ON c.id = i.collection_id WHERE i.id = %s
"""

MAY_SIGN = """
SELECT has_table_privilege('spocdb.thumbnails', 'UPDATE')
   AND current_setting('transaction_read_only') = 'off'
"""

SIGN = """
UPDATE spocdb.thumbnails SET signature = %s, signature_version = %s WHERE sha256 = %s
"""

SIGNATURES = """
SELECT sha256, signature FROM spocdb.thumbnails
WHERE sha256 = ANY (%s) AND signature_version = %s
"""

FIND = "SELECT webp FROM spocdb.thumbnails WHERE sha256 = %s"

DELETE_LEFT = """
DELETE FROM spocdb.thumbnails t
WHERE NOT EXISTS (SELECT FROM spocdb.images i WHERE i.sha256 = t.sha256)
"""


def content(connection: Connection, id: int) -> Content:
    """Return where the bytes of an image are.

    Raises:
        ImageNotFound: there is no image with this id.
    """
    row = connection.execute(CONTENT, [id]).fetchone()
    if row is None:
        raise ImageNotFound(f"there is no image {id}: see `db.images()`")
    return Content(*row)


def find(connection: Connection, sha256: str) -> bytes | None:
    """Return the stored thumbnail of some bytes, if there is one."""
    row = connection.execute(FIND, [bytes.fromhex(sha256)], binary=True).fetchone()
    return bytes(row[0]) if row else None


def add(connection: Connection, made: Mapping[bytes, SmallPicture]) -> None:
    """Store small pictures by sha256, in the transaction that stores their images."""
    if made:
        # In one order, so that two writers of the same images cannot deadlock.
        hashes = sorted(made)
        pictures = [made[sha256] for sha256 in hashes]
        signatures = [picture.signature for picture in pictures]
        values = [
            [picture.webp for picture in pictures],
            [signature.bits for signature in signatures],
            [signature.version for signature in signatures],
        ]
        connection.execute(ADD, [hashes, *values])


def add_made(connection: Connection, content: Content, made: SmallPicture) -> None:
    """Store what was made on demand, if the role may and the image still has these bytes."""
    if one_row(connection, MAY_ADD)[0]:
        values = [made.webp, made.signature.bits, made.signature.version]
        connection.execute(ADD_MADE, [content.id, bytes.fromhex(content.sha256), *values])


def sign(connection: Connection, sha256: str, signature: Signature) -> None:
    """Store the signature of a picture whose thumbnail is stored, if the role may."""
    if one_row(connection, MAY_SIGN)[0]:
        connection.execute(SIGN, [signature.bits, signature.version, bytes.fromhex(sha256)])


def signatures(
    connection: Connection, hashes: Iterable[bytes], version: int
) -> dict[bytes, int | None]:
    """Return the bits of the contents that have a signature of a version, by sha256."""
    return dict(connection.execute(SIGNATURES, [list(hashes), version]).fetchall())


def unsigned(connection: Connection, contents: Sequence[Content], version: int) -> list[Content]:
    """Return the contents that have no signature of a version."""
    hashes = [bytes.fromhex(content.sha256) for content in contents]
    signed = signatures(connection, hashes, version)
    return [
        content for content, sha256 in zip(contents, hashes, strict=True) if sha256 not in signed
    ]


def delete_left(connection: Connection) -> None:
    """Delete thumbnails without an image, which deletions at the same time can leave."""
    connection.execute(DELETE_LEFT)
