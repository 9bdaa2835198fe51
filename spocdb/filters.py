"""Filters: select images by their metadata.

The grammar is described in docs/reference/filters.md.

A filter is a mapping that the metadata must contain, a text such as `year >= 2023 and kind = shoe`,
or a sequence of mappings, texts and conditions `("key", "operator", value)` that must all hold.
SQL takes it as JSON: an object, or a list of objects and conditions. Only the SQL function
`spocdb.filter_path` defines what operators and values mean.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spocdb.errors import ConfigError, InvalidValue

Filter = Mapping[str, Any] | str | Sequence[Mapping[str, Any] | str | Sequence[Any]]
# What SQL takes: an object, or a list of objects and conditions.
Json = dict[str, Any] | list[Any]

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "~", "exists")
# The SQL function's limit for one list.
MOST_VALUES = 1000
HINT = "write KEY OPERATOR VALUE, such as year>=2023, or KEY exists"

QUOTED = r'"(?:[^"\\]|\\.)*"'
PART = rf'(?:{QUOTED}|[^\s"=!<>~.]+)'
KEY = re.compile(rf"\s*({PART}(?:\.{PART})*)")
OPERATOR = re.compile(r"\s*([=!<>~]+)|\s+(in|exists)(?![^\s\[])", re.IGNORECASE)
# Without the look-behind, many spaces in a row would take quadratic time.
AND = re.compile(r"(?<!\s)\s+and(?!\S)", re.IGNORECASE)
SPACE = re.compile(r"\s*")
# An unquoted text with one of these is probably a condition without `and` before it.
OPERATOR_INSIDE = re.compile(r"[=<>~]")


def to_json(filter: Filter | None) -> Json:
    """Return a filter as the SQL functions take it.

    Raises:
        ConfigError: A text or condition is malformed.
        InvalidValue: The filter is of another type.
    """
    if filter is None:
        return {}
    if isinstance(filter, bytes) or not isinstance(filter, str | Iterable):
        raise InvalidValue("filter", type(filter).__name__, "a text, a mapping or a list of them")
    parts = [filter] if isinstance(filter, str | Mapping) else list(filter)
    result: list[Any] = []
    for part in parts:
        if isinstance(part, Mapping):
            if odd := [key for key in part if not isinstance(key, str)]:
                raise ConfigError(f"the keys of a filter are texts, and {odd[0]!r} is none")
            result.append(dict(part))
        elif isinstance(part, str):
            result.extend(parse(part))
        elif isinstance(part, list | tuple) and len(part) in (2, 3):
            key, operator = part[0], part[1]
            value = part[2] if len(part) == 3 else True
            _check_value(operator, value)
            result.append([[key] if isinstance(key, str) else key, operator, value])
        else:
            raise ConfigError(f'{part!r} is no condition: give ("key", "operator", value)')
    _check(result)
    # A single mapping is matched by jsonb containment, which the database need not compile.
    if len(result) == 1 and isinstance(result[0], dict):
        return result[0]
    return result or {}


def parse(text: str) -> list[list[Any]]:
    """Parse conditions with `and` between them into lists of key, operator and value.

    The key is a list of keys, from the outside in.

    Raises:
        ConfigError: The text is malformed; the message quotes the part.
    """
    conditions, start = [], 0
    while True:
        condition, end = _condition(text, start)
        conditions.append(condition)
        if _after_space(text, end) == len(text):
            return conditions
        following = AND.match(text, end)
        if following is None:
            raise ConfigError(f"there is no `and` before {_quoted(text[end:])}: {HINT}")
        start = following.end()


def keys(filter: Json) -> Iterator[tuple[list[str], str, Any]]:
    """Yield each condition of a filter: the key from the outside in, operator and value."""
    for part in [filter] if isinstance(filter, dict) else filter:
        if isinstance(part, dict):
            yield from (([key], "=", value) for key, value in part.items())
        else:
            yield part[0], part[1], part[2]


def spelled(key: Sequence[str]) -> str:
    """Return a key, given from the outside in, in the syntax of the grammar."""
    return ".".join(
        part
        if re.fullmatch(PART, part) and '"' not in part
        else json.dumps(part, ensure_ascii=False)
        for part in key
    )


def _condition(text: str, start: int) -> tuple[list[Any], int]:
    """Return the condition that begins at `start`, and where it ends."""
    named = KEY.match(text, start)
    operator = named and OPERATOR.match(text, named.end())
    if start and not text[start:].strip():
        raise ConfigError("nothing follows the last `and`")
    if named is None or operator is None:
        blank = named and OPERATOR_INSIDE.search(text, named.end())
        advice = '; a key with a blank needs quotes, "my key"=3' if blank else ""
        advice += "; a text with ` and ` in it needs quotes" if start else ""
        raise ConfigError(f"{_quoted(text[start:])} is no condition: {HINT}{advice}")
    key = [_unquoted(part) for part in re.findall(PART, named[1])]
    name, end = operator[operator.lastindex or 0].lower(), operator.end()
    if name not in OPERATORS:
        raise ConfigError(f"there is no operator `{name}`; there are {' '.join(OPERATORS)}")
    if name == "exists" and (AND.match(text, end) or _after_space(text, end) == len(text)):
        return [key, name, True], end
    value, end = _value(text, _after_space(text, end), as_text=name == "~")
    _check_value(name, value)
    return [key, name, value], end


def _check_value(operator: Any, value: Any) -> None:
    """Raise ConfigError for a value whose type the operator does not accept.

    The SQL function checks the same. This check needs no database.
    """
    takes = None
    if operator == "in" and not (
        isinstance(value, list | tuple) and 1 <= len(value) <= MOST_VALUES
    ):
        takes = f'a list of 1 to {MOST_VALUES:,} values, such as ["a", "b"]'
    elif operator == "exists" and not isinstance(value, bool):
        takes = "true or false"
    elif operator == "~" and not isinstance(value, str):
        takes = "a regular expression as a text"
    if takes:
        shown = json.dumps(value, ensure_ascii=False, default=repr)
        raise ConfigError(f"`{operator}` takes {takes}, not {_cut(shown)}")


def _value(text: str, start: int, as_text: bool) -> tuple[Any, int]:
    """Return the JSON value that begins at `start`, else the text up to `and`, and where it ends.

    With `as_text` anything but a JSON string is taken literally, as a regular expression.
    """
    try:
        value, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(text, start)
    except (ValueError, RecursionError):
        value, end = None, start
    is_whole = end > start and (AND.match(text, end) or _after_space(text, end) == len(text))
    if is_whole and (isinstance(value, str) or not (as_text or _is_infinite(value))):
        return value, end
    following = AND.search(text, start)
    end = following.start() if following else len(text)
    bare = text[start:end].strip()
    if not bare or AND.fullmatch(f" {bare.split()[0]}"):
        raise ConfigError(f'{_quoted(text)} lacks a value: an empty text is ""')
    if as_text:
        return bare, end
    if bare[0] in '"[{':
        raise ConfigError(f"the value {_quoted(bare)} is not valid JSON")
    if OPERATOR_INSIDE.search(bare):
        raise ConfigError(f"the text {_quoted(bare)} needs quotes, or `and` before a condition")
    # Python and spreadsheets write True and TRUE.
    return {"true": True, "false": False}.get(bare.lower(), bare), end


def _after_space(text: str, start: int) -> int:
    found = SPACE.match(text, start)
    return found.end() if found else start


def _quoted(text: str) -> str:
    return repr(_cut(text.strip()))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def _unquoted(part: str) -> str:
    if not part.startswith('"'):
        return part
    try:
        return str(json.loads(part))
    except ValueError:
        raise ConfigError(f"the key {part} is not valid JSON") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _check(filter: list[Any]) -> None:
    """Raise ConfigError for a value that PostgreSQL cannot store as JSON."""
    try:
        text = json.dumps(filter, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError("a filter holds half a surrogate pair, which is no text") from None
    except (TypeError, ValueError, RecursionError) as exc:
        raise ConfigError(f"a filter must be JSON: {exc}") from exc
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", text):
        raise ConfigError("a filter holds a zero byte, which PostgreSQL cannot store in a text")
