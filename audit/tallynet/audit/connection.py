"""How the auditor reaches the chain and the nodes: with a key of its own that exists only for the run."""

import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from tallynet.audit.anchoring import Chain
from tallynet.console.network_file import NetworkFile
from tallynet.ledger.ledger import Ledger
from tallynet.ledger.opening import open_ledger
from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import discover
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.errors import InvalidSignature, Misconfigured, NodeUnreachable
from tallynet.protocol.keys import Key, address_of_peer
from tallynet.protocol.units import Address, Milliseconds, prefixed

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_chain(network: NetworkFile, *, dialling: bool = False) -> AsyncIterator[Chain]:
    """Chain and peer-to-peer network; the second only once a node's log is asked for, or at once for `dialling`.

    Logs may be asked for from several tasks only if it is `dialling`.
    """
    async with (
        open_ledger(network.rpc_url, network.domain, network.confirmations) as ledger,
        AsyncExitStack() as opened,
    ):
        transports: list[Transport] = []

        async def dial() -> Transport:
            if not transports:
                transports.append(await opened.enter_async_context(open_transport(network)))
            return transports[0]

        async def find(node: Address) -> LogReader:
            transport = await dial()
            peer = await find_peer(transport, ledger, network, node)
            return LogReader(transport, peer, ledger.domain)

        if dialling:
            await dial()
        yield Chain(ledger, find)


@asynccontextmanager
async def open_world(network: NetworkFile) -> AsyncIterator[tuple[Ledger, Transport]]:
    """Chain and peer-to-peer network, both at once."""
    opening = open_ledger(network.rpc_url, network.domain, network.confirmations)
    async with opening as ledger, open_transport(network) as transport:
        yield ledger, transport


@asynccontextmanager
async def open_transport(network: NetworkFile) -> AsyncIterator[Transport]:
    """A peer that only dials. Raises `Misconfigured` for a network file with addresses that are none."""
    from tallynet.network.host import Libp2pTransport

    transport = Libp2pTransport(Key.generate(), listen=(), bootstrap=bootstrap_peers(network), dht=False)
    async with transport.run():
        yield transport


def bootstrap_peers(network: NetworkFile) -> list[PeerAddress]:
    """Whom the network file says to dial first."""
    return [PeerAddress.parse(text) for text in network.bootstrap]


async def find_peer(transport: Transport, ledger: Ledger, network: NetworkFile, node: Address) -> PeerAddress:
    """Where `node` can be dialled: its own adverts, the contract's registry and the network file, in this order.

    Raises `NodeUnreachable` when none of them knows it.
    """
    entry = await ledger.node(node)
    written = [entry.multiaddr] if entry and entry.multiaddr else []
    hints = list(_parsed([*written, *(hint.multiaddr for hint in network.nodes), *network.bootstrap]))
    book = AddressBook(ledger.domain, lambda: Milliseconds(time.time_ns() // 1_000_000))
    await discover(transport, book, hints)
    advertised = [
        PeerAddress(known.advert.peer, known.advert.addresses) for known in book.adverts() if known.node == node
    ]
    return _merged(node, [*advertised, *(peer for peer in hints if _is(peer, node))])


def _parsed(texts: Iterable[str]) -> Iterator[PeerAddress]:
    """The peer addresses among texts that others wrote."""
    for text in texts:
        try:
            yield PeerAddress.parse(text)
        except Misconfigured as error:
            log.info("passed over: %s", error)


def _is(peer: PeerAddress, node: Address) -> bool:
    try:
        return address_of_peer(peer.peer) == node
    except InvalidSignature as error:
        log.info("passed over: %s", error)
        return False


def _merged(node: Address, found: list[PeerAddress]) -> PeerAddress:
    """One peer with all its addresses: a node has one key, and so one peer id."""
    if not found:
        raise NodeUnreachable(
            f"No address of node {prefixed(node)} is known to its peers, the contract or the network file.",
            remedy="Name one with --peer /ip4/HOST/tcp/PORT/p2p/PEER_ID.",
        )
    addresses = dict.fromkeys(address for peer in found for address in peer.addresses)
    return PeerAddress(found[0].peer, tuple(addresses))
