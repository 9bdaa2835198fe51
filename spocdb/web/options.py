"""What a server is started with: where it listens, who may use it, and its limits."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from spocdb.errors import ConfigError, InvalidValue

# Shorter tokens can be guessed.
SHORTEST_TOKEN = 16
# What a Host header can hold, without the port.
NAME = re.compile(r"[\w.:%\[\]-]+", re.ASCII)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one request, so that no client can keep the server busy for long.

    Bytes of an uploaded picture, and of all that are held at once; seconds until a picture must
    have arrived; results of a search; length of the list that is re-ranked or expanded by; pixels
    of the longer side of a returned image; seconds of one SQL statement.
    """

    upload_bytes: int = 32 * 2**20
    all_upload_bytes: int = 256 * 2**20
    upload_seconds: float = 30.0
    k: int = 1000
    rerank: int = 200
    expand: int = 100
    side: int = 2048
    statement_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is run.

    `token` is what clients must send; it is required unless `host` is the loopback address.
    `collections` are the only ones that are shown, all that the role may read if empty. `names` are
    further host names by which clients reach the server, e.g. through a proxy. With `is_review` the
    page may change which projection is active.

    Raises:
        ConfigError: another host than loopback without a token.
        InvalidValue: the token is too short, or a name is none.
    """

    host: str = "127.0.0.1"
    port: int = 8117
    token: str | None = field(default=None, repr=False)
    collections: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    is_review: bool = False
    bounds: Bounds = Bounds()

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            # The token itself must not be in the message.
            raise InvalidValue("token", len(self.token), f"at least {SHORTEST_TOKEN} characters")
        for field_, name in (("host", self.host), *(("names", name) for name in self.names)):
            if not NAME.fullmatch(name):
                raise InvalidValue(field_, repr(name), "an IP address or a name in DNS")
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(
                f"{self.host} is reachable from other machines: give a token with "
                "`token_file='FILE'`, or listen on 127.0.0.1",
                field="token_file",
            )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a host address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(file: Path) -> str:
    """Read the token from a file; space around it is ignored.

    Raises:
        ConfigError: the file cannot be read, or is no text.
    """
    try:
        return file.read_text("utf-8").strip()
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror}", field="token_file") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file} is no UTF-8 text", field="token_file") from exc
