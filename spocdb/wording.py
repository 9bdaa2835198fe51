"""Counts with nouns in messages."""


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return "1 image" or "2,000 images"; `plural` is for irregular nouns."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"
