"""The library's errors have codes that are documented, and speak Python, not the command line."""

import ast
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spocdb import errors

ROOT = Path(__file__).parents[2]
LIBRARY = sorted(
    [*(ROOT / "spocdb").rglob("*.py"), *(ROOT / "migrations" / "sql" / "functions").glob("*.sql")]
)
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*|`spocdb ")
PYTHON = re.compile(r"`(?:db\.[\w.]+\([^`]*\)|spocdb\.[\w.]+\([^`]*\)|[a-z]\w*=[^`]*)`")
ROW = re.compile(r"^\| `([a-z-]+)` \| `(\w+)` \|", re.MULTILINE)


def classes() -> list[type[errors.SpocdbError]]:
    found = (kind for _, kind in inspect.getmembers(errors, inspect.isclass))
    return [kind for kind in found if issubclass(kind, errors.SpocdbError)]


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the strings of a module except docstrings; in f-strings a 1 replaces each value."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr):
            parts = (getattr(part, "value", None) for part in child.values)
            yield "".join(part if isinstance(part, str) else "1" for part in parts)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
        # A string that is a statement is a docstring.
        elif not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from texts(child)


def texts_of(file: Path) -> Iterator[str]:
    """Yield the texts of a file. An SQL file is one text, because no SQL looks like an option."""
    source = file.read_text()
    return texts(ast.parse(source)) if file.suffix == ".py" else iter([source])


def test_every_class_has_a_code_of_its_own_in_the_documented_table() -> None:
    codes = {kind.code: kind.__name__ for kind in classes()}
    assert len(codes) == len(classes())
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    assert all("code" in vars(kind) for kind in classes())
    assert dict(ROW.findall((ROOT / "docs" / "reference" / "errors.md").read_text())) == codes


def test_the_tree_in_the_docstring_names_every_class() -> None:
    drawn = re.findall(r"^(?:SpocdbError|[│ ]*[├└]─ (\w+))", errors.__doc__ or "", re.MULTILINE)
    assert {*drawn} - {""} == {kind.__name__ for kind in classes()} - {"SpocdbError"}


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_text_of_the_library_speaks_of_options(file: Path) -> None:
    assert [text for text in texts_of(file) if OPTION.search(text)] == []


def test_the_command_line_translates_all_python_in_the_texts(
    in_commands: Callable[[str], str],
) -> None:
    advice = {
        found.replace("%s", "1")
        for file in LIBRARY
        for text in texts_of(file)
        for found in PYTHON.findall(text)
    }
    assert len(advice) > 40
    assert [text for text in advice if in_commands(text) == text] == []


def test_an_error_names_the_parameter_and_what_it_may_be() -> None:
    error = errors.InvalidValue("alpha", 101, "0 to 100")
    assert str(error) == "alpha must be 0 to 100, not 101"
    assert (error.code, error.field, error.bound) == ("invalid-value", "alpha", "0 to 100")
    choice = errors.UnknownChoice("fit", "crop", ["warp", "pad"])
    assert str(choice) == "unknown fit 'crop': one of warp, pad"
    assert (choice.code, choice.field, choice.bound) == ("unknown-choice", "fit", ("warp", "pad"))
    assert errors.ImageTooLarge("a\nb", field="max_bytes", bound=3).bound == 3
    plain = errors.SpocdbError("it is full")
    assert (plain.code, plain.field, plain.bound) == ("error", None, None)


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.code)
def test_every_error_arrives_in_another_process_as_it_was(kind: type[errors.SpocdbError]) -> None:
    given: dict[type[errors.SpocdbError], tuple[Any, ...]] = {
        errors.InvalidValue: ("k", 0, "at least 1"),
        errors.UnknownChoice: ("fit", "crop", ["warp", "pad"]),
        errors.DimensionMismatch: (3, 4),
    }
    error = kind(*given.get(kind, ("it is full",)))
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is kind
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))
