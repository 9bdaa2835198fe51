"""Stores of object storage: how they are opened, and what their errors mean.

Credentials and addresses are found where the clouds' own tools find them: in the environment, in
profiles, on the machine. Answers of servers are not quoted, because they may name an access key.
Of an error only its HTTP status and the storage's own word for it are told.
"""

import re
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spocdb.errors import ConfigError

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

# Of the services, and what to set for each where nothing is found.
ADVICE = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
# Requests are repeated with exponential back-off after 5xx, time-outs and broken connections.
RETRIES, RETRY_SECONDS = 8, 120
_STATUS = re.compile(r"status code: ([1-5]\d\d)")
_WORD = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_UNANSWERED = re.compile(r"HTTP error|error sending request|timed out", re.IGNORECASE)


def obstore() -> Any:
    """Return the package. Raises ConfigError if it is not installed."""
    try:
        import boto3  # noqa: F401
        import obstore
        import obstore.exceptions
    except ImportError:
        raise ConfigError("object storage needs a package: pip install 'spocdb[cloud]'") from None
    return obstore


def open_store(address: str) -> "ObjectStore":
    """Open the store of a bucket, such as s3://photos, without asking its server.

    Raises:
        ConfigError: A setting is missing or malformed.
    """
    package = obstore()
    scheme, _, bucket = address.partition("://")
    try:
        if scheme == "s3":
            return _open_s3(bucket)
        from obstore.store import from_url

        return from_url(address, retry_config=_retry())
    except (package.exceptions.BaseError, OSError, ValueError):
        raise ConfigError(f"cannot open {address}: {ADVICE[scheme]}") from None


def told(error: Exception, scheme: str) -> str:
    """Return what went wrong in words, without the server's text."""
    text = str(error)
    status, word = _STATUS.search(text), _WORD.search(text)
    answer = f"HTTP {status[1]} {word[1] if word else ''}".rstrip() if status else ""
    if word and word[1] in ("NoSuchBucket", "ContainerNotFound"):
        return "there is no such bucket"
    if isinstance(error, FileNotFoundError):
        return "there is no such object"
    if status and status[1] in ("401", "403"):
        return f"access is denied ({answer}): {ADVICE[scheme]}"
    if status and status[1].startswith("3"):
        return f"the bucket is elsewhere ({answer}): set AWS_REGION to its region"
    if isinstance(error, obstore().exceptions.InvalidPathError):
        return "a key has an empty part, or one that is . or .., or a control character: rename it"
    if answer or _UNANSWERED.search(text):
        return answer or "the storage does not answer"
    return f"the credentials do not work: {ADVICE[scheme]}"


def _open_s3(bucket: str) -> "ObjectStore":
    """Open a bucket with what botocore finds; without credentials its requests are not signed."""
    from botocore.exceptions import BotoCoreError, ProfileNotFound
    from botocore.session import get_session
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    try:
        session = get_session()
        session.register_component("data_loader", _descriptions())
        endpoint = str(session.create_client("s3").meta.endpoint_url)
        has_credentials = session.get_credentials() is not None
        region = session.get_config_variable("region")
    except ProfileNotFound as error:
        raise ConfigError(f"cannot open s3://{bucket}: {error}") from None
    except BotoCoreError as error:
        # Some quote what a program for credentials wrote.
        raise ConfigError(
            f"cannot open s3://{bucket} ({type(error).__name__}): {ADVICE['s3']}"
        ) from None
    found: dict[str, Any] = {"region": region} if region else {}
    if not (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        found |= {
            "endpoint": endpoint,
            "client_options": {"allow_http": endpoint.startswith("http:")},
        }
    if has_credentials:
        found["credential_provider"] = Boto3CredentialProvider(session)
    else:
        found["skip_signature"] = True
    return S3Store(bucket, retry_config=_retry(), **found)


@cache
def _descriptions() -> Any:
    """Return botocore's descriptions of services, which take 0.1 s of parsing, once per process."""
    from botocore.session import get_session

    return get_session().get_component("data_loader")


def _retry() -> "RetryConfig":
    return {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)}
