"""Hosts: resolve one within a timeout, tell whether an address is public, take turns at one."""

import ipaddress
import socket
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Lock, Thread
from weakref import WeakValueDictionary

from spocdb.errors import UnreadableImage

# IANA assigns global unicast addresses only from this block. All other IPv6 addresses are local,
# reserved or contain an IPv4 address, such as fec0::/10, ::/96 and ::ffff:0:0:0/96.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# IPv6-only networks reach every IPv4 address through it. (64:ff9b:1::/48 is for local use.)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not routed on the internet, although older Pythons call both global: the documentation block of
# RFC 9637, and the 6to4 relays that RFC 7526 withdrew.
NOT_ROUTED = (ipaddress.ip_network("3fff::/20"), ipaddress.ip_network("192.88.99.0/24"))

# Fetches of a process that run at once from one host.
MOST_A_HOST = 4
_LOCK = Lock()
# Only those that are in use, or there would be one for each host that was ever asked.
_SLOTS: WeakValueDictionary[str, BoundedSemaphore] = WeakValueDictionary()


def is_public(address: str) -> bool:
    """Return whether an address is public; for an embedded IPv4 address, whether that is."""
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
    """Return the IPv4 addresses embedded in an IPv6 address; usually none."""
    if address in NAT64:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.teredo:
        return address.teredo
    inner = address.ipv4_mapped or address.sixtofour
    return (inner,) if inner else ()


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host.

    The system's look-up cannot be cancelled; on a timeout its thread is abandoned.

    Raises:
        TimeoutError: The look-up took longer than `seconds`.
        OSError: The name does not resolve.
        UnreadableImage: The host is no valid name.
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
        raise TimeoutError(f"the look-up of {host} timed out") from None
    if isinstance(answer, UnicodeError):
        raise UnreadableImage(f"{host} is no valid host name") from answer
    if isinstance(answer, Exception):
        raise answer
    return list(dict.fromkeys(answer))


def slot(host: str) -> BoundedSemaphore:
    """Return the semaphore of a host: it is held while something is fetched from it."""
    with _LOCK:
        found = _SLOTS.get(host) or BoundedSemaphore(MOST_A_HOST)
        _SLOTS[host] = found
        return found
