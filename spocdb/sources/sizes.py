"""The limit of an image's bytes."""

from spocdb.errors import ImageTooLarge


def too_large(n_bytes: int, max_bytes: int) -> ImageTooLarge:
    """Return the error of an image whose source states more bytes than the limit."""
    return ImageTooLarge(
        f"{n_bytes} bytes are over the limit of {max_bytes}: raise SPOCDB_MAX_BYTES if you "
        "trust it",
        field="max_bytes",
        bound=max_bytes,
    )
