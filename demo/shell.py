"""Run spocdb and psql as a user would, on the demo's own embedded server."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from spocdb import Database, connect
from spocdb.db import embedded
from spocdb.settings import from_environment

FINISHED_WITH_FAILURES = 3
PROGRAM = Path(sys.executable).with_name("spocdb")


class Shell:
    """Prints commands and runs them with their output visible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Ignore the user's SPOCDB_* variables, so that the demo uses only its own folder.
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SPOCDB_")
        } | {"SPOCDB_DATA_DIR": str(folder), "SPOCDB_CACHE_DIR": str(folder / "cache")}

    def spocdb(self, *arguments: str | Path) -> None:
        """Print and run a spocdb command. Like all methods, it raises CalledProcessError."""
        print(f"\n$ {shlex.join(['spocdb', *map(str, arguments)])}", flush=True)
        done = subprocess.run([PROGRAM, *arguments], env=self.environment, check=False)
        if done.returncode != FINISHED_WITH_FAILURES:  # the tour continues with the other pictures
            done.check_returncode()

    def read(self, *arguments: str | Path) -> str:
        """Run spocdb quietly and return what it prints."""
        return subprocess.run(
            [PROGRAM, *arguments],
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def psql(self, statement: str) -> None:
        """Run a statement in psql."""
        print(f'\n$ psql "$(spocdb db url)" --command "{statement}"', flush=True)
        url = self.read("db", "url").strip()
        program = embedded.psql(self.folder)
        subprocess.run([program, "--no-psqlrc", url, "--command", statement], check=True)

    def serve(self) -> None:
        """Serve the page until Ctrl-C, which the server gets too: the terminal sends it to both."""
        print("\n$ spocdb serve", flush=True)
        # A free port: the usual one may be in use.
        server = subprocess.Popen([PROGRAM, "serve", "--port", "0"], env=self.environment)
        try:
            server.wait()
        except KeyboardInterrupt:
            server.wait()

    def connect(self) -> Database:
        """Open the database from Python, as a program with many queries would."""
        return connect(settings=from_environment(None, self.environment))

    def stop(self) -> None:
        """Stop the server."""
        subprocess.run([PROGRAM, "db", "stop"], env=self.environment, check=False)
