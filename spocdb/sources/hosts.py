"""The addresses of a host: which are public, and looking them up within a time."""

import ipaddress
import socket
from queue import Empty, SimpleQueue
from threading import Thread

from spocdb.errors import UnreadableImage

# IANA gives out global unicast addresses from this block alone. All else of IPv6 is local, reserved
# or a way to write an IPv4 address: site-local fec0::/10, IPv4-compatible ::/96, ::ffff:0:0:0/96.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Networks without IPv4 reach every IPv4 address through it. (64:ff9b:1::/48 is for local use.)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Neither is routed on the internet, and older Pythons call both global: the block for examples of
# RFC 9637, and the relays of 6to4 that RFC 7526 withdrew.
NOT_ROUTED = (ipaddress.ip_network("3fff::/20"), ipaddress.ip_network("192.88.99.0/24"))


def is_public(address: str) -> bool:
    """Tell whether an address is one of the internet; one that holds another is judged by that."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if inner := _inner(found):
            return all(is_public(str(part)) for part in inner)
        if found not in GLOBAL_UNICAST:
            return False
    if any(found in network for network in NOT_ROUTED):
        return False
    return found.is_global and not found.is_multicast


def _inner(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address leads to; none for most."""
    if address in NAT64:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.teredo:
        return address.teredo
    inner = address.ipv4_mapped or address.sixtofour
    return (inner,) if inner else ()


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host. Raises TimeoutError, OSError; UnreadableImage for no name.

    The system's look-up cannot be stopped: it is left to its thread when time is up.
    """
    answers: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as exc:
            answers.put(exc)

    Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"the name {host} was not looked up in time") from None
    if isinstance(answer, UnicodeError):
        raise UnreadableImage(f"{host} is no name of a host") from answer
    if isinstance(answer, Exception):
        raise answer
    return list(dict.fromkeys(answer))
