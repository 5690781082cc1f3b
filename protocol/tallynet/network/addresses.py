"""Multiaddrs: read, checked, and made concrete where one says "any interface"."""

import ipaddress
import socket
from collections.abc import Iterable

from libp2p.utils.address_validation import expand_wildcard_address
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from tallynet.protocol.errors import Misconfigured

__all__ = ["Multiaddr", "check_free", "concrete", "parse", "plain"]


def parse(text: str) -> Multiaddr:
    """Read one multiaddr over TCP; raises `Misconfigured` for anything else."""
    try:
        address = Multiaddr(text)
        address.value_for_protocol("tcp")
    except Exception as error:  # the library raises half a dozen kinds, some of them bare
        raise Misconfigured(
            f"{text!r} is not an address over TCP.", remedy="Write it as /ip4/HOST/tcp/PORT or /dns4/NAME/tcp/PORT."
        ) from error
    return address


def plain(address: Multiaddr) -> str:
    """The address as text, without the peer it belongs to."""
    return str(address).partition("/p2p/")[0]


def concrete(addresses: Iterable[Multiaddr]) -> list[Multiaddr]:
    """The same addresses, with `0.0.0.0` and `::` replaced by those of this machine's interfaces."""
    found: list[Multiaddr] = []
    for address in addresses:
        host = _ip(address)
        found += expand_wildcard_address(address) if host and host.is_unspecified else [address]
    return found


def check_free(address: Multiaddr) -> None:
    """Raise `Misconfigured` when the address is not ours to listen on, or its port is taken.

    py-libp2p listens with SO_REUSEPORT: a second node on the same port would start without complaint and take half
    of the first one's connections.
    """
    host, port = _ip(address), int(address.value_for_protocol("tcp"))
    if host is None:
        raise Misconfigured(f"Cannot listen on {address}: it names a host.", remedy="Listen on /ip4/ADDRESS/tcp/PORT.")
    with socket.socket(socket.AF_INET if host.version == 4 else socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(host), port))
        except OSError as error:
            raise Misconfigured(
                f"Cannot listen on {address}: {error.strerror}.",
                remedy="Stop the program that uses the port, perhaps another node, or choose another port.",
            ) from error


def _ip(address: Multiaddr) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address's IP; None where it names its host."""
    _, kind, host, *_ = str(address).split("/")
    return ipaddress.ip_address(host) if kind in ("ip4", "ip6") else None
