"""Words of messages: numbers that agree with their nouns."""


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return "1 image" or "2,000 images"; `plural` where an s does not make it."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"
