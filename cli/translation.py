"""Translate the library's messages into options and commands.

The library's messages contain Python in backticks. Here `dim=64` becomes --dim 64, and
`db.pca.activate(2, collection='photos')` becomes `spocdb pca activate 2 --collection photos`. A
parameter becomes the option of the same name of any command; a function is looked up in COMMANDS.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

from spocdb.errors import SpocdbError

COMMANDS = {
    "db.duplicates.calibrate": "duplicates calibrate",
    "db.duplicates.find": "duplicates find",
    "db.enqueue": "ingest --enqueue",
    "db.grant_owner": "db grant --owner",
    "db.grant_reader": "db grant --reader",
    "db.grant_worker": "db grant --worker",
    "db.delete": "images delete",
    "db.images": "images list",
    "db.ingest": "ingest",
    "db.ingest_beside": "pca fit --from",
    "db.learn_codebook": "codebook fit",
    "db.map": "map",
    "db.index.build": "index build",
    "db.index.measure": "index measure",
    "db.pca.activate": "pca activate",
    "db.pca.augment": "pca augment",
    "db.pca.drop": "pca drop",
    "db.pca.export": "pca export",
    "db.pca.fit": "pca fit",
    "db.pca.list": "pca list",
    "db.pca.rollback": "pca rollback",
    "db.quantize": "quantize",
    "db.reembed": "reembed",
    "db.tables.attach": "attach",
    "db.tables.coverage": "status",
    "db.tables.detach": "detach",
    "db.tables.retry": "retry",
    "db.tables.work": "worker",
    "spocdb.attach": "attach",
    "spocdb.count_coverage": "status",
    "spocdb.db.doctor.examine": "db doctor",
    "spocdb.db.doctor.fix": "db doctor --fix",
    "spocdb.db.embedded.start": "db url",
    "spocdb.db.schema.current": "db current",
    "spocdb.db.schema.init": "db init",
    "spocdb.db.schema.upgrade": "db upgrade",
    "spocdb.detach": "detach",
}
# Parameters whose option has another name.
RENAMED = {"prune_gone": "--yes", "url": "--db"}

IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
CALL = re.compile(r"([a-z_.]+)\(.*\)")
KEYWORDS = re.compile(r"[a-z_]+=.+")


def in_commands(text: str) -> str:
    """Return a text with parameters and calls replaced by options and commands."""
    return IN_BACKTICKS.sub(_translated, text)


def explained(error: SpocdbError) -> str:
    """Return an error's message; a parameter at its beginning becomes the option."""
    text = in_commands(str(error))
    option = _option(error.field, True) if error.field else None
    if option and text.startswith(f"{error.field} "):
        return option + text.removeprefix(str(error.field))
    return text


def _translated(span: re.Match[str]) -> str:
    """Return the translation of a span in backticks; leave it unchanged if it is no Python."""
    written, call = span[1], CALL.fullmatch(span[1])
    is_known = call[1] in COMMANDS if call else KEYWORDS.fullmatch(written)
    if not is_known:
        return span[0]
    try:
        parsed = ast.parse(written if call else f"_({written})", mode="eval").body
        words = " ".join(_words(parsed, call[1] if call else "_"))
    # The text may quote a name of the user, which may be anything.
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return span[0]
    return f"`spocdb {COMMANDS[call[1]]} {words}".rstrip() + "`" if call else words


def _words(call: ast.expr, function: str) -> Iterator[str]:
    """Yield the arguments of a call as shell words.

    Raises LookupError if another function is called, or an argument has no option.
    """
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != function:
        raise LookupError(function)
    for value in call.args:
        if not _is(value, ...):
            yield _shown(value)
    for keyword in call.keywords:
        option = _option(keyword.arg, not _is(keyword.value, False))
        if option is None:
            raise LookupError(keyword.arg)
        yield option
        if not any(_is(keyword.value, alone) for alone in (..., True, False)):
            yield _shown(keyword.value)


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _shown(node: ast.expr) -> str:
    """Return a value as typed in a shell; a name, such as FOLDER, is a placeholder."""
    return shlex.quote(str(node.value)) if isinstance(node, ast.Constant) else ast.unparse(node)


def _option(parameter: str | None, value: bool) -> str | None:
    """Return the option of a parameter, or its --no- form; None if there is none."""
    if parameter in RENAMED:
        return RENAMED[parameter]
    found = _options().get(parameter or "")
    return (found[0] if value else found[1] or None) if found else None


@cache
def _options() -> dict[str, tuple[str, str]]:
    """Return each parameter's option and its --no- form, of all commands together."""
    from . import root

    return {
        parameter.name: (
            max(parameter.opts, key=lambda option: option.startswith("--")),
            next(iter(parameter.secondary_opts), ""),
        )
        for command in _leaves(root())
        for parameter in command.params
        if parameter.param_type_name == "option"
    }


def _leaves(command: Any) -> Iterator[Any]:
    for inner in getattr(command, "commands", {}).values():
        yield from _leaves(inner)
    yield command
