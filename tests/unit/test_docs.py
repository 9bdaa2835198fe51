"""The documentation: every command, variable and exit code is in it, and its links lead somewhere.

`make docs` builds the site with warnings as errors. These tests say what it must hold.
"""

import importlib.util
import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError

import spocdb
from spocdb.features import backbones

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page.read_text() for page in sorted(DOCS.rglob("*.md"))}


def hook(name: str) -> ModuleType:
    """Return a hook of MkDocs, loaded as MkDocs loads it."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMMANDS, LINKS, SQL = hook("commands"), hook("links"), hook("sql_objects")
NETWORKS, NAMES, ERRORS = hook("backbones"), hook("public_names"), hook("errors")
NOTES = hook("source_notes")


def test_each_command_is_described_on_one_page_under_its_name() -> None:
    text = "\n".join(PAGES.values())
    described = re.findall(r"^## (.+)\n\n<!-- command: (.+) -->$", text, re.MULTILINE)
    assert all(heading == command for heading, command in described)
    assert sorted(command for _, command in described) == sorted(COMMANDS.commands())


def test_a_described_command_has_its_help_and_every_option_with_its_default() -> None:
    text = COMMANDS.described("spocdb pca fit")
    assert "spocdb pca fit [OPTIONS] [COLLECTION...]" in text
    for option in ("--from FOLDER", "--dim", "--whiten / --no-whiten", "--regularisation"):
        assert f"`{option}" in text
    assert r"\[default: 256]" in text
    assert "--quiet" not in text
    assert "`--fit warp|aspect|pad`" in COMMANDS.described("spocdb ingest")


def test_every_network_is_in_the_reference_with_its_licence() -> None:
    shown = NETWORKS.on_page_markdown(PAGES["reference/recipes.md"])
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.+) \|$", shown, re.MULTILINE))
    assert list(rows) == list(backbones.names())
    assert rows["mini"].startswith(
        "conv10`, before the activation | 256 values | 256 x 256 | 1/2 | MIT"
    )
    assert rows["vgg19"].startswith(
        "conv5_4`, after the activation | 512 values | 586 x 586 | 1/3 | "
    )
    assert "`--weights`" in rows["mobilenet_v1"]


def test_the_meaning_of_an_error_is_that_of_its_class() -> None:
    page = PAGES["reference/errors.md"]
    rows = re.findall(r"^\| `[a-z-]+` \| `(\w+)` \| <!-- error: (\w+) --> \|", page, re.MULTILINE)
    assert len(rows) > 20 and all(name == marked for name, marked in rows)
    shown = ERRORS.on_page_markdown(page)
    assert "| `ImageChanged` | The file has other bytes than when it was ingested | 3" in shown
    assert "<!--" not in shown
    with pytest.raises(PluginError, match="no error Gone"):
        ERRORS.on_page_markdown("<!-- error: Gone -->")


def test_the_command_that_helps_after_an_error_is_one_that_runs() -> None:
    told = re.findall(r"`(spocdb [^`]+)`", PAGES["reference/errors.md"])
    assert "spocdb collections list" in told
    assert set(told) <= set(COMMANDS.commands())


def test_pages_with_generated_parts_say_so_in_their_source_alone() -> None:
    marker = re.compile(r"^(?:::: |.*<!-- (?:command|functions|backbones|error)\b)", re.MULTILINE)
    generated = {name for name, page in PAGES.items() if marker.search(page)}
    assert {name for name, page in PAGES.items() if "\n\n> **On GitHub** " in page} == generated
    assert "reference/sql.md" in generated and "reference/python.md" in generated
    shown = NOTES.on_page_markdown("# SQL\n\n> **On GitHub** a\n> b.\n\nAll of it.\n")
    assert shown == "# SQL\n\nAll of it.\n"


def shown_commands() -> Iterator[tuple[str, str]]:
    """Yield (command, its arguments) of each command in the code of pages and README."""
    text = "\n".join([*PAGES.values(), (ROOT / "README.md").read_text()])
    fenced = re.findall(r"```(?:console|sh)\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(fenced).replace("\\\n", " ").splitlines()
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    names = sorted(COMMANDS.commands(), key=len, reverse=True)
    for code in (*lines, *spans):
        shown = code.removeprefix("$ ")
        if name := next((n for n in names if f"{shown} ".startswith(f"{n} ")), None):
            yield name, shown.removeprefix(name)


def test_commands_are_shown_with_options_that_they_have() -> None:
    shown = list(shown_commands())
    assert len(shown) > 100
    for name, words in shown:
        command = COMMANDS.commands()[name]
        has = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
        assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", words)) <= has, f"{name}{words}"


def test_a_public_name_that_no_page_describes_is_missed() -> None:
    header = b"# Sphinx inventory version 2\n# Project: x\n# Version: 0\n# zlib\n"
    names = [f"spocdb.{name}" for name in spocdb.__all__ if name not in ("Hit", "__version__")]
    lines = "".join(f"{name} py:class 1 page.html#$ -\n" for name in names)
    found = NAMES.described(header + zlib.compress(lines.encode()))
    assert NAMES.missing(found) == ["Hit"]
    assert NAMES.missing(found | {"spocdb.Hit"}) == []


def test_a_page_about_a_command_that_is_gone_is_no_page() -> None:
    with pytest.raises(PluginError, match="no command spocdb gone"):
        COMMANDS.on_page_markdown("<!-- command: spocdb gone -->")


def test_every_environment_variable_is_described() -> None:
    read = set(re.findall(r'"(SPOCDB_\w+)"', (ROOT / "spocdb" / "settings.py").read_text()))
    table = set(re.findall(r"^\| `(SPOCDB_\w+)` \|", PAGES["reference/environment.md"], re.M))
    assert read and read == table


def test_the_exit_codes_are_documented() -> None:
    for code in (0, 1, 2, 3, 130, 141):
        assert f"\n| {code} | " in PAGES["reference/commands/index.md"]


def test_what_a_role_may_call_has_a_section_of_its_own() -> None:
    (named,) = re.findall(r"<!-- functions: (search .+) -->", PAGES["reference/sql.md"])
    assert {"search", "similar", "similar_rows"} <= set(named.split())
    described = SQL.on_page_markdown("<!-- functions: similar_rows -->\n<!-- functions: others -->")
    assert described.count("### spocdb.similar_rows\n") == 1
    assert described.count("RETURNS TABLE(\n    key text,\n") == 3
    # Every function is listed, except triggers, which nobody calls.
    assert "| `search` | The k images" in described
    assert "| `similar_rows`" not in described and "refuse_update" not in described
    assert "embeddings\\_&lt;collection>" in SQL.on_page_markdown("<!-- relations -->")
    with pytest.raises(PluginError, match="no function gone"):
        SQL.on_page_markdown("<!-- functions: gone -->")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[a](../explanation/quality.md#x)", "[a](../explanation/quality.md#x)"),
        ("[a](../../ARCHITECTURE.md)", "[a](../explanation/architecture.md)"),
        ("[record](../../benchmarks/results)", "record (`benchmarks/results`)"),
        ("[examples](../../examples)", "examples"),
        ("![a](../pictures/mini.png)", "![a](../pictures/mini.png)"),
        ("[a](#here) `[b](../../gone)`", "[a](#here) `[b](../../gone)`"),
        ("[`a`](../../CHANGELOG.md) `b`", "[`a`](../project/changelog.md) `b`"),
        ("```\n[b](../../gone)\n```", "```\n[b](../../gone)\n```"),
    ],
)
def test_links_out_of_the_documentation(
    written: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert LINKS.rewritten(written, "docs/how-to/page.md", "how-to/page.md") == shown
    assert caplog.records == []


def test_links_of_documents_in_the_root_lead_to_pages() -> None:
    written = "[a](docs/reference/sql.md) [b](CHANGELOG.md#x)"
    shown = "[a](../reference/sql.md) [b](../project/changelog.md#x)"
    assert LINKS.rewritten(written, "ARCHITECTURE.md", "explanation/architecture.md") == shown


@pytest.mark.parametrize("target", ["../../gone.py", "http://example.org", "https:///x", "ftp://x"])
def test_a_link_to_nowhere_is_a_warning(target: str, caplog: pytest.LogCaptureFixture) -> None:
    LINKS.rewritten(f"[a]({target})", "docs/how-to/page.md", "how-to/page.md")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_page_that_loads_something_from_elsewhere_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
    plain = '<a href="https://example.org">a</a> <script src="assets/a.js"></script>'
    assert LINKS.on_post_page(plain, page=page) == plain
    assert caplog.records == []
    LINKS.on_post_page('<script defer src="https://example.org/a.js"></script>', page=page)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_the_figures_of_the_readme_are_measured_ones() -> None:
    readme = (ROOT / "README.md").read_text()
    speed = PAGES["explanation/performance.md"]
    assert "108 images a second with `mini`, and 4 ms" in readme
    assert "| ingest by `mini`, CPU | 108 images/s" in speed
    assert re.search(r"search\(\)`, 1,000,000 x 256 \| (3\.[5-9]\d*|4(\.[0-4]\d*)?) ms", speed)


def test_warnings_end_the_build() -> None:
    """With --quiet MkDocs logs no warnings, and then --strict counts none."""
    commands = re.findall(r"-m mkdocs (.*)", (ROOT / "Makefile").read_text())
    assert commands == ["build --strict"]


def test_the_pictures_are_used() -> None:
    text = "\n".join([*PAGES.values(), (ROOT / "README.md").read_text()])
    for picture in (DOCS / "pictures").iterdir():
        assert f"pictures/{picture.name})" in text


def test_the_tests_that_hold_what_is_promised_exist() -> None:
    rows = re.findall(r"^\|.*\| (`.+`) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    named = {test for row in rows for test in re.findall(r"`([^`]+)`", row)}
    assert len(named) > 15
    assert [test for test in sorted(named) if not (ROOT / "tests" / test).is_file()] == []


def test_files_that_pages_show_are_named_as_the_site_reads_it() -> None:
    """A formatter takes such a line in a block of Python for a comparison."""
    for name, text in PAGES.items():
        for line in re.findall(r"^.*8 ?<.*$", text, re.MULTILINE):
            (file,) = re.findall(r'^ *--8<-- "(.+)"$', line)
            assert (ROOT / file).is_file(), name
