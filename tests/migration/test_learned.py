"""Learned projections survive a downgrade to a release that does not know their kinds."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spocdb.db import schema
from spocdb.settings import from_environment
from tests.fixtures.opened import Database

Dump = Callable[..., str]
Psql = Callable[..., "subprocess.CompletedProcess[str]"]

DUMP = Path(__file__).parent / "releases" / "0.1.0.sql"

# Projections of both kinds beside the one that the dump has, and embeddings by one of them.
LEARNED = """
INSERT INTO spocdb.projections
    (extractor_id, kind, dim, mean, n_samples, settings, fitted_on, fingerprint)
SELECT p.extractor_id, k.kind, p.dim, p.mean, 8, '{{"dim": 4, "labels": "kind"}}', p.fitted_on,
       k.fingerprint
FROM spocdb.projections p,
     (VALUES ('discriminative', '{0}'), ('head', '{1}')) k (kind, fingerprint)
WHERE p.kind = 'pca' AND p.dim = 4;
INSERT INTO spocdb.projection_components
SELECT p.id, c.position, c.component, c.scale * 2, c.singular_value, c.explained
FROM spocdb.projections p, spocdb.projection_components c
WHERE p.kind IN ('discriminative', 'head')
  AND c.projection_id = (SELECT id FROM spocdb.projections WHERE kind = 'pca' AND dim = 4);
"""

KINDS = "SELECT kind, settings FROM spocdb.projections ORDER BY id"
EMBEDDED = """
SELECT spocdb.project(d.descriptor::vector, p.id) FROM spocdb.projections p, spocdb.descriptors d
WHERE d.extractor_id = p.extractor_id ORDER BY p.id, d.sha256
"""


@pytest.fixture
def learned(empty_url: str, psql: Psql) -> str:
    """Return the URL of a database with learned projections."""
    psql(empty_url, DUMP.read_text()).check_returncode()
    schema.upgrade(empty_url)
    fingerprints = (hashlib.sha256(name).hexdigest() for name in (b"a", b"b"))
    psql(empty_url, LEARNED.format(*fingerprints)).check_returncode()
    return empty_url


def test_an_older_program_projects_by_them_and_an_upgrade_gives_them_back(
    learned: str, psql: Psql, contents: Dump
) -> None:
    before, embedded = contents(learned), psql(learned, EMBEDDED).stdout
    assert embedded
    kinds = psql(learned, KINDS).stdout
    assert kinds.count("discriminative") == kinds.count("head") == 1
    schema.downgrade(learned, "0.1.0")
    older = psql(learned, KINDS).stdout
    assert {line.partition("|")[0] for line in older.splitlines()} == {"raw", "pca"}
    assert '"kind": "head"' in older
    assert psql(learned, EMBEDDED).stdout == embedded
    schema.upgrade(learned)
    assert contents(learned) == before
    # They are immutable as before.
    refused = psql(learned, "UPDATE spocdb.projections SET kind = 'pca'")
    assert "projections is immutable" in refused.stderr


def test_other_kinds_are_refused(learned: str, psql: Psql) -> None:
    made_up = LEARNED.replace("'head'", "'made up'").format("1" * 64, "2" * 64)
    assert "projections_kind_check" in psql(learned, made_up).stderr


def test_they_are_listed(learned: str, environment: dict[str, str]) -> None:
    with Database(from_environment(learned, environment)) as db:
        assert [p.kind for p in db.pca.list()][-2:] == ["discriminative", "head"]
