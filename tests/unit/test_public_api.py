"""The public names of `spocdb`: loaded lazily, with docstrings and types."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest

import spocdb
from spocdb import api, errors

# One error a line; a continuation line is indented further.
RAISED = re.compile(r"            (\w+): \S.*|                \S.*")
ITEM = re.compile(r"            (\*{0,2}\w+): \S.*|                \S.*")


def public(name: str) -> Any:
    return getattr(spocdb, name)


NAMES = [name for name in spocdb.__all__ if name != "__version__"]
CLASSES = [name for name in NAMES if inspect.isclass(public(name))]


def functions() -> Iterator[tuple[str, Any]]:
    """Yield the public functions, and the public methods of the public classes."""
    for name in NAMES:
        found = public(name)
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found):
            for attribute, method in inspect.getmembers(found, inspect.isfunction):
                is_own = method.__module__.startswith("spocdb.")
                if is_own and not attribute.startswith("_"):
                    yield f"{name}.{attribute}", method


FUNCTIONS = dict(functions())
# A record's method may have one line; the API's methods list arguments and errors.
API = {n: f for n, f in FUNCTIONS.items() if f.__module__.startswith("spocdb.api.")}


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_loads_neither_torch_nor_numpy_nor_a_driver() -> None:
    loaded = run(
        "import sys; before = {*sys.modules}; import spocdb; print(*({*sys.modules} - before))"
    )
    found = {name.partition(".")[0] for name in loaded.split()}
    assert not found & {"torch", "torchvision", "numpy", "psycopg", "psycopg_pool", "PIL", "typer"}
    assert {name for name in loaded.split() if name.startswith("spocdb")} == {"spocdb"}


def test_an_error_is_named_without_loading_the_rest() -> None:
    loaded = run("import sys, spocdb; spocdb.ConfigError; print(*sys.modules)").split()
    assert "spocdb.errors" in loaded and "numpy" not in loaded and "psycopg" not in loaded


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'spocdb' has no attribute 'nothing'"):
        spocdb.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        exec("from spocdb import import_module_of_nothing")
    assert dir(spocdb) == sorted(spocdb.__all__)


def test_all_that_a_type_checker_sees_can_be_imported_and_nothing_else() -> None:
    tree = ast.parse(Path(str(spocdb.__file__)).read_text())
    (block, _) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted([*seen, "__version__"]) == sorted(spocdb.__all__)
    for name, module in seen.items():
        assert public(name) is getattr(importlib.import_module(str(module)), name)


def test_every_error_and_all_of_the_api_is_public() -> None:
    raised = {
        name
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, errors.SpocdbError)
    }
    assert raised | {*api.__all__} | {"__version__"} == {*spocdb.__all__}


def test_star_imports_all_of_it() -> None:
    assert run("from spocdb import *; print(Hit.__name__, connect.__name__)") == "Hit connect\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_says_what_it_is(name: str) -> None:
    text = inspect.getdoc(public(name)) or ""
    assert text.endswith(".") or "\n\n" in text, name
    # The docstring of a dataclass without one is its signature.
    assert not text.startswith(f"{name}("), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_says_what_it_does_and_is_typed(name: str) -> None:
    function = FUNCTIONS[name]
    first = (inspect.getdoc(function) or "").partition("\n")[0]
    assert first.endswith(".") and first[0].isupper(), name
    signature = inspect.signature(function)
    given = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    assert all(p.annotation is not p.empty for p in given), name
    assert signature.return_annotation is not signature.empty, name


def sections(function: Any) -> dict[str, list[str]]:
    """Return the lines of a docstring's sections in Google's style, by their heading."""
    lines = (function.__doc__ or "").splitlines()
    indent = "    " if "." not in function.__qualname__ else "        "
    found: dict[str, list[str]] = {"": []}
    heading = ""
    for line in lines:
        if match := re.fullmatch(rf"{indent}(Args|Returns|Yields|Raises):", line):
            heading = match[1]
            found[heading] = []
        elif line.strip():
            # As if it were a method's docstring.
            found[heading].append("        " + line.removeprefix(indent))
    return found


@pytest.mark.parametrize("name", API)
def test_docstrings_are_read_by_a_documentation_tool(name: str) -> None:
    found = sections(API[name])
    for line in found.get("Raises", []):
        match = RAISED.fullmatch(line)
        assert match, (name, line)
        assert match[1] is None or issubclass(getattr(errors, match[1]), errors.SpocdbError)
    documented = [m[1] for line in found.get("Args", []) if (m := ITEM.fullmatch(line)) and m[1]]
    if documented:
        parameters = inspect.signature(API[name]).parameters.values()
        kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        stars: dict[Any, str] = dict(zip(kinds, ("*", "**"), strict=True))
        wanted = [stars.get(p.kind, "") + p.name for p in parameters if p.name != "self"]
        assert documented == wanted, name
    assert not re.search(r"Raises \w+", "\n".join(found[""])), name


def test_what_takes_much_says_each_of_it() -> None:
    for name, function in API.items():
        if len(inspect.signature(function).parameters) > 4:
            assert "Args" in sections(function), name


def test_records_are_frozen() -> None:
    mutable = {"Progress"}  # its counts grow while an ingest runs
    for name in CLASSES:
        if is_dataclass(found := public(name)) and name not in mutable:
            assert vars(found)["__dataclass_params__"].frozen, name
