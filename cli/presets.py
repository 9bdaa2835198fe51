"""The option --extractor, whose help lists the networks: apart, as finding them takes a while."""

from typing import Annotated

import typer

from spocdb.features.backbones import DEFAULT, families, find, names


def _presets() -> str:
    # Networks of other packages are left to `spocdb extractors`: finding them takes a while.
    forms = [family.form + _brought_by(family.extra) for family in families()]
    return ", ".join([*(name + _remark(name) for name in names()), *forms])


def _remark(name: str) -> str:
    packed = find(name).packed
    if packed is None:
        return " (default)" if name == DEFAULT else ""
    return _brought_by(packed.extra) or " (comes with spocdb)"


def _brought_by(extra: str | None) -> str:
    return f" (with spocdb[{extra}])" if extra else ""


Extractor = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        help=f"{_presets()}, or one of `spocdb extractors`.",
    ),
]
