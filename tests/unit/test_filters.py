"""The text form of filters: its meaning, and the messages for invalid filters."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spocdb.errors import ConfigError
from spocdb.filters import OPERATORS, parse, spelled, to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
# Regular expressions are left out: they are plain text and not JSON.
OPERATOR_AND_VALUE = (
    st.tuples(st.sampled_from([o for o in OPERATORS if o not in ("~", "in", "exists")]), JSON)
    | st.tuples(st.just("in"), st.lists(JSON, min_size=1, max_size=3))
    | st.tuples(st.just("exists"), st.booleans())
)


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("year>=2023", [(["year"], ">=", 2023)]),
        (" year  >=  2023 ", [(["year"], ">=", 2023)]),
        ("year>=2000 and year<2010", [(["year"], ">=", 2000), (["year"], "<", 2010)]),
        ("a=1 AND b=x y\nand c=z", [(["a"], "=", 1), (["b"], "=", "x y"), (["c"], "=", "z")]),
        (
            'tags=["a and b"] and gps exists',
            [(["tags"], "=", ["a and b"]), (["gps"], "exists", True)],
        ),
        ("gps exists false", [(["gps"], "exists", False)]),
        ('kind in["a"] and in=1', [(["kind"], "in", ["a"]), (["in"], "=", 1)]),
        ("kind IN [1] and x EXISTS", [(["kind"], "in", [1]), (["x"], "exists", True)]),
        ("exists exists and and=1", [(["exists"], "exists", True), (["and"], "=", 1)]),
        ("name~^a.*[0-9]=$", [(["name"], "~", "^a.*[0-9]=$")]),
        ('name ~ "a and b" and n~12', [(["name"], "~", "a and b"), (["n"], "~", "12")]),
        ("camera.make=X", [(["camera", "make"], "=", "X")]),
        ('"a.b".c."d e"=1', [(["a.b", "c", "d e"], "=", 1)]),
        ('"quote\\" and \\u00e9"=1', [(['quote" and é'], "=", 1)]),
        ("größe>3 and 大=小", [(["größe"], ">", 3), (["大"], "=", "小")]),
        (
            "a=True and b=FALSE and c=null",
            [(["a"], "=", True), (["b"], "=", False), (["c"], "=", None)],
        ),
        ('a="true" and b="1"', [(["a"], "=", "true"), (["b"], "=", "1")]),
        (
            "a=007 and b=1e999 and c=NaN",
            [(["a"], "=", "007"), (["b"], "=", "1e999"), (["c"], "=", "NaN")],
        ),
        (
            "d=2023-05-01 and t<2023-05-01T10:00",
            [(["d"], "=", "2023-05-01"), (["t"], "<", "2023-05-01T10:00")],
        ),
        ('a="" and b=-1.5', [(["a"], "=", ""), (["b"], "=", -1.5)]),
    ],
)
def test_what_a_text_means(text: str, conditions: list[tuple[Any, ...]]) -> None:
    assert parse(text) == [list(condition) for condition in conditions]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no condition: write KEY OPERATOR VALUE, such as year>=2023, or KEY exists"),
        ("year", "'year' is no condition: "),
        ("=1", "'=1' is no condition: "),
        (".a=1", "is no condition"),
        ("a..b=1", "is no condition"),
        ("exists gps", "'exists gps' is no condition: .* or KEY exists"),
        ("shoe size=3", 'a key with a blank needs quotes, "my key"=3'),
        ("year==2023", "there is no operator `==`; there are = != < <= > >= in ~ exists"),
        ("year=>2023", "there is no operator `=>`"),
        ("year<>2023", "there is no operator `<>`"),
        ("name!~x", "there is no operator `!~`"),
        ("a=", "'a=' lacks a value"),
        ("a= and b=1", "lacks a value"),
        ("kind in", "lacks a value"),
        ("a=b and", "nothing follows the last `and`"),
        ("title=salt and pepper", "'pepper' is no condition: .* a text with ` and ` in it"),
        ("a=1 b=2", "'1 b=2' needs quotes, or `and` before a condition"),
        ("year=2023>", "'2023>' needs quotes"),
        ('tags=["a"', "the value '\\[\"a\"' is not valid JSON"),
        ("tags=['a']", "is not valid JSON"),
        ('name="x', "is not valid JSON"),
        ('name="x"y', "is not valid JSON"),
        ('"a\\x"=1', "the key .* is not valid JSON"),
        (
            "kind in shoe",
            r'^`in` takes a list of 1 to 1,000 values, such as \["a", "b"\], not "shoe"$',
        ),
        ("kind in []", r"`in` takes a list of 1 to 1,000 values, .*, not \[\]$"),
        (f"kind in {[*range(1001)]}", r"`in` takes a list of .*, not \[0, 1, .*\.\.\.$"),
        ("gps exists no", '^`exists` takes true or false, not "no"$'),
        ("gps exists 1", "`exists` takes true or false, not 1"),
        ("a=" + "[" * 100_000, "is not valid JSON"),
    ],
    ids=lambda text: text[:30],
)
def test_what_makes_no_sense_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(
    st.lists(
        st.tuples(st.lists(st.text(), min_size=1, max_size=3), OPERATOR_AND_VALUE).map(
            lambda condition: (condition[0], *condition[1])
        ),
        min_size=1,
        max_size=3,
    )
)
def test_every_condition_can_be_written(conditions: list[tuple[list[str], str, Any]]) -> None:
    text = " and ".join(f"{spelled(k)} {o} {json.dumps(v)}" for k, o, v in conditions)
    assert parse(text) == [list(condition) for condition in conditions]


def test_the_forms_that_python_takes() -> None:
    assert to_json(None) == to_json({}) == to_json([]) == {}
    assert to_json({"kind": "shoe"}) == to_json([{"kind": "shoe"}]) == {"kind": "shoe"}
    assert to_json("a=1 and b=2") == to_json(["a=1", ("b", "=", 2)])
    mixed: list[Any] = [{"kind": "shoe"}, ("gps", "exists"), (["camera", "make"], "=", "X")]
    assert to_json(mixed) == [
        {"kind": "shoe"},
        [["gps"], "exists", True],
        [["camera", "make"], "=", "X"],
    ]


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ([("a",)], "is no condition: give"),
        ([7], "is no condition: give"),
        ([("kind", "in", "shoe")], '`in` takes a list of 1 to 1,000 values, .*, not "shoe"'),
        ([("kind", "in", {1})], "`in` takes a list"),
        ([("gps", "exists", "no")], '`exists` takes true or false, not "no"'),
        ([("name", "~", 5)], "`~` takes a regular expression as a text, not 5"),
        ({"a": {1}}, "a filter must be JSON"),
        ({"a": float("nan")}, "a filter must be JSON"),
        ({"a": "\0"}, "a zero byte"),
        ([("a", "=", "x\0")], "a zero byte"),
        ("a=\udce9", "half a surrogate pair"),
        ({"\ud800": 1}, "half a surrogate pair"),
        ({"a": 1, None: 1}, "the keys of a filter are texts, and None is none"),
        ({0: 1}, "the keys of a filter are texts, and 0 is none"),
    ],
)
def test_what_is_no_filter_is_refused(filter: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        to_json(filter)


def test_many_spaces_take_no_quadratic_time() -> None:
    """With that, this would take minutes."""
    text = f"a=x{' ' * 500_000}y"
    assert parse(text) == [[["a"], "=", text.removeprefix("a=")]]
