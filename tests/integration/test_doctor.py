"""doctor: its findings and their advice."""

import subprocess
from collections.abc import Callable

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from spocdb.db import connections, doctor, ownership, schema, server

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def findings(url: str, **parameters: str) -> dict[str, tuple[str, str]]:
    with connections.connect(make_conninfo(url, **parameters)) as connection:
        return {f.what: (f.verdict, f.advice) for f in doctor.examine(connection)}


@pytest.mark.parametrize(
    ("version", "verdict", "advice"),
    [
        ("0.5.1", "error", "spocdb needs 0.8.0 or newer: install a newer pgvector"),
        ("0.7.4", "error", "ALTER EXTENSION vector UPDATE"),
        ("0.8.0", "warning", "can corrupt an HNSW index when vacuuming: install a newer"),
        ("0.8.3", "warning", "ALTER EXTENSION vector UPDATE"),
        ("0.8.4", "ok", ""),
        ("0.8.10", "ok", ""),
        ("0.10.0", "ok", ""),
        ("1.0.0-dev", "ok", ""),
    ],
)
def test_a_version_of_pgvector_is_judged(version: str, verdict: str, advice: str) -> None:
    found = server.judge_vector(version, is_created=True)
    assert (found.verdict, found.what) == (verdict, f"pgvector {version}")
    assert advice in found.advice
    assert bool(found.advice) == (verdict != "ok")


@pytest.mark.parametrize(("version", "verdict"), [(13, "error"), (14, "ok"), (18, "ok")])
def test_a_version_of_the_server_is_judged(version: int, verdict: str) -> None:
    found = server.judge_server(version)
    assert (found.verdict, found.what) == (verdict, f"PostgreSQL {version}")
    assert ("upgrade the server" in found.advice) == (verdict == "error")


def test_a_sound_database_has_no_errors(url: str, role: str) -> None:
    with connections.connect(url) as connection:
        version = connection.info.server_version // 10000
        ownership.hand_over(connection, role)
        server.refuse_old(connection)
    found = findings(url, options="-c maintenance_work_mem=256MB")
    verdicts = {what: verdict for what, (verdict, _) in found.items()}
    (vector,) = (what for what in verdicts if what.startswith("pgvector"))
    # A server with an older pgvector has this warning rightly.
    is_old = tuple(map(int, vector.split()[1].split("."))) < server.SOUND_VECTOR
    assert verdicts.pop(vector) == ("warning" if is_old else "ok")
    assert set(verdicts.values()) == {"ok"}
    assert len(found) == 7
    assert f"PostgreSQL {version}" in found
    assert f"schema spocdb at {schema.HEAD}" in found


def test_a_schema_that_everybody_may_create_in_is_a_warning(url: str) -> None:
    with connections.connect(url) as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        what = "everybody may create functions in schema public, which spocdb uses"
        assert findings(url)[what] == (
            "warning",
            "run `REVOKE CREATE ON SCHEMA public FROM PUBLIC`",
        )


def test_little_memory_for_builds_is_a_warning(url: str) -> None:
    verdict, advice = findings(url, options="-c maintenance_work_mem=64MB")[
        "maintenance_work_mem is 64MB"
    ]
    assert verdict == "warning"
    assert "256MB" in advice


def test_large_indexes_without_huge_pages_are_a_warning(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connections.connect(url) as connection:
        statement = "SELECT current_setting('huge_pages_status', true)"
        ((status,),) = connection.execute(statement)
    monkeypatch.setattr(server, "LARGE_INDEXES", 0)
    found = [v for what, v in findings(url).items() if "without huge pages" in what]
    assert [verdict for verdict, _ in found] == (["warning"] if status == "off" else [])
    assert all("more on the server's machine (vm.nr_hugepages)" in advice for _, advice in found)


def test_large_indexes_that_are_cold_after_a_restart_are_a_warning(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connections.connect(url) as connection:
        offered = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm')"
        ((is_offered,),) = connection.execute(offered)
    monkeypatch.setattr(server, "LARGE_INDEXES", 0)
    cold = "indexes of 0.0 GB are read from the disk by the first searches after a restart"
    assert (cold in findings(url)) == is_offered
    # The setting of the library is there when the server has loaded it.
    assert cold not in findings(url, options="-c pg_prewarm.autoprewarm=on")


def test_a_missing_and_an_outdated_schema_name_the_command(empty_url: str, url: str) -> None:
    missing = findings(empty_url)["no schema spocdb yet"]
    assert missing == ("warning", "run `spocdb.db.schema.init(...)`")
    with connections.connect(url) as connection:
        connection.execute("COMMENT ON TABLE spocdb.alembic_version IS 'functions of others'")
    outdated = findings(url)["the functions in the schema spocdb are not this program's"]
    assert outdated == ("error", "run `spocdb.db.schema.upgrade(...)`")


def test_a_schema_newer_than_the_program_does_not_ask_for_an_upgrade_of_itself(url: str) -> None:
    with connections.connect(url) as connection:
        connection.execute("UPDATE spocdb.alembic_version SET version_num = '9999'")
    newer = findings(url)[f"the schema spocdb is at 9999, newer than this program ({schema.HEAD})"]
    assert newer == ("error", "upgrade spocdb")


def test_missing_rights_say_what_to_grant(empty_url: str, url: str, role: str) -> None:
    rights = [v for what, v in findings(empty_url, user=role).items() if what.startswith("role")]
    (found,) = rights
    assert found[0] == "error"
    with connections.connect(empty_url) as connection:
        # The advice works, also for a name that must be quoted.
        connection.execute(found[1].partition("`")[2].partition("`")[0])
    (found,) = [v for what, v in findings(empty_url, user=role).items() if what.startswith("role")]
    assert found[0] == "warning"
    assert "ask a superuser to run `CREATE EXTENSION vector`" in found[1]
    with connections.connect(empty_url) as connection:
        connection.execute("CREATE EXTENSION vector")
    (found,) = [v for what, v in findings(empty_url, user=role).items() if what.startswith("role")]
    assert found == ("ok", "")
    with connections.connect(empty_url) as connection:
        connection.execute(SQL("DROP OWNED BY {}").format(Identifier(role)))


def test_the_command_prints_every_finding_and_fails_for_an_error(
    spocdb: Run, url: str, empty_url: str
) -> None:
    ran = spocdb("db", "doctor")
    assert ran.returncode == 0, ran.stderr
    assert [line.split()[0] for line in ran.stdout.splitlines()][:4] in (
        ["ok"] * 4,
        ["ok", "warning", "ok", "ok"],
    )
    with connections.connect(url) as connection:
        connection.execute("COMMENT ON TABLE spocdb.alembic_version IS 'functions of others'")
    ran = spocdb("db", "doctor")
    assert ran.returncode == 1
    assert "error    the functions in the schema spocdb are not this program's" in ran.stdout
    assert "run `spocdb db upgrade`" in ran.stdout
