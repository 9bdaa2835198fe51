"""Keeper rules: which image of a group of duplicates comes first.

A rule is a list of terms, the most important first, such as `folder:/photos/originals, pixels,
bytes, oldest`. A term is a word of WORDS or `kind:value` with a kind of KINDS; a minus before it
turns it around. Images that a rule cannot tell apart are ordered by path.
"""

from dataclasses import dataclass

from spocdb import checks
from spocdb.errors import ConfigError

WORDS = ("pixels", "bytes", "oldest", "newest")
KINDS = ("folder", "suffix", "key")
DEFAULT = "pixels, bytes, oldest"
MOST_TERMS, LONGEST = 20, 4000


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a rule: `kind` is one of WORDS or KINDS, `value` empty for a word."""

    kind: str
    value: str
    is_reversed: bool


def parse(rule: str) -> list[Term]:
    """Return the terms of a rule.

    Raises:
        ConfigError: a term is none of those that there are, or there are too many.
    """
    if len(checks.text("keep", rule)) > LONGEST:
        raise ConfigError(f"keep has more than {LONGEST:,} characters", field="keep")
    texts = [text.strip() for text in rule.split(",")]
    if len(texts) > MOST_TERMS:
        raise ConfigError(f"keep has more than {MOST_TERMS} terms", field="keep")
    return [_term(text) for text in texts]


def _term(text: str) -> Term:
    bare = text.removeprefix("-")
    kind, colon, value = bare.partition(":")
    is_known = kind in KINDS and value.strip() if colon else kind in WORDS
    if not is_known:
        known = ", ".join([*WORDS, *(f"{kind}:..." for kind in KINDS)])
        raise ConfigError(f"keep has a term {text!r}, which is none of {known}", field="keep")
    value = value.strip()
    return Term(kind, value.removeprefix(".") if kind == "suffix" else value, text != bare)
