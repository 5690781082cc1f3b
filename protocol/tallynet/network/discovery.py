"""Finding nodes: ask peers for the adverts they know, follow the provider records of a model.

Order of trust is none: every advert is signed by its own node, so it does not matter who hands it over.
"""

import logging
from collections.abc import Iterable, Sequence

import trio

from tallynet.network.address_book import AddressBook
from tallynet.network.frames import INFO_ANSWER, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.advert import SignedAdvert, advert_signer
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import (
    Deferred,
    Invalid,
    InvalidAdvert,
    Misconfigured,
    NodeUnreachable,
    Refused,
    Unreachable,
)
from tallynet.protocol.units import Address, ModelId, prefixed
from tallynet.protocol.wire import INFO_PROTOCOL, Adverts, AskAdverts, error_of

log = logging.getLogger(__name__)

ASK_SECONDS = 5.0
MAX_PEERS_ASKED = 16


async def ask_adverts(transport: Transport, peer: PeerAddress, book: AddressBook, model: ModelId | None = None) -> int:
    """Ask one peer; returns how many valid adverts it gave. Invalid ones are passed over.

    Raises `NodeUnreachable` when it does not answer in ASK_SECONDS, `InvalidFrame` when it talks nonsense.
    """
    answer = await _question(transport, peer, AskAdverts(model))
    return sum(_keep(book, signed, peer) for signed in answer.adverts)


async def ask_log_size(transport: Transport, peer: PeerAddress, node: Address, domain: Domain) -> int:
    """The largest log of `node` that a peer has an advert of, signed by the node itself; 0 when it knows none.

    Raises like `ask_adverts`, and `InvalidAdvert` for an advert that the node did not sign.
    """
    answer = await _question(transport, peer, AskAdverts(node=node))
    for signed in answer.adverts[:1]:
        if (found := advert_signer(signed, domain)) != node:
            raise InvalidAdvert(f"asked for the advert of {prefixed(node)}, got that of {prefixed(found)}")
        return signed.advert.log_size
    return 0


async def discover(
    transport: Transport, book: AddressBook, known: Iterable[PeerAddress], model: ModelId | None = None
) -> None:
    """Fill `book` from the peers in `known` and, for a model, from whoever provides it in the DHT.

    Peers are asked at the same time; the unreachable and the faulty are passed over. Never raises for them: an
    empty book is the answer then.
    """
    asked = {peer.peer: peer for peer in known}
    async with trio.open_nursery() as nursery:
        for peer in list(asked.values())[:MAX_PEERS_ASKED]:
            nursery.start_soon(_ask, transport, peer, book, model)
    if model is None or book.adverts(model):
        return
    async with trio.open_nursery() as nursery:
        for peer in (await _providers(transport, model))[:MAX_PEERS_ASKED]:
            if peer.peer not in asked:
                nursery.start_soon(_ask, transport, peer, book, model)


async def _question(transport: Transport, peer: PeerAddress, ask: AskAdverts) -> Adverts:
    async with await transport.open(peer, INFO_PROTOCOL) as stream:
        await send_frame(stream, ask, seconds=ASK_SECONDS)
        try:
            answer = await receive_frame(stream, INFO_ANSWER, seconds=ASK_SECONDS)
        except EndOfStream as error:
            raise NodeUnreachable(f"peer {peer.peer} closed without an answer.") from error
    if not isinstance(answer, Adverts):
        raise error_of(answer)
    return answer


def _keep(book: AddressBook, signed: SignedAdvert, peer: PeerAddress) -> bool:
    try:
        book.add(signed)
    except InvalidAdvert as error:
        log.info("peer %s handed over an advert that does not hold: %s", peer.peer, error)
        return False
    return True


async def _ask(transport: Transport, peer: PeerAddress, book: AddressBook, model: ModelId | None) -> None:
    try:
        await ask_adverts(transport, peer, book, model)
    except (Unreachable, Invalid, Refused, Deferred) as error:
        log.info("peer %s was no help: %s", peer.peer, error)


async def _providers(transport: Transport, model: ModelId) -> Sequence[PeerAddress]:
    try:
        return await transport.providers(model)
    except (Unreachable, Misconfigured) as error:  # the latter: this peer was started without the DHT
        log.info("the DHT was no help: %s", error)
        return []
