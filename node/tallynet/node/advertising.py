"""(2) Advertising: what this node offers, signed afresh every few seconds, spread by gossip and on request."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio

from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import MAX_PEERS_ASKED, ask_log_size, discover
from tallynet.network.frames import INFO_ANSWER, INFO_ASK, receive_frame, send_frame
from tallynet.network.transport import PeerAddress, Stream, Transport
from tallynet.node.config import NodeConfig
from tallynet.node.engines import Engines
from tallynet.node.journal import Journal
from tallynet.protocol.advert import MAX_CLOCK_SKEW_MS, Advert, SignedAdvert, VerifiedAdvert, sign_advert
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Deferred, Invalid, InvalidAdvert, Misconfigured, Refused, Unreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds, ModelId
from tallynet.protocol.wire import (
    ADVERT_TOPIC,
    HEADER_BYTES,
    MAX_ADVERTS,
    MAX_FRAME_BYTES,
    Adverts,
    encode_frame,
    rejection,
)

log = logging.getLogger(__name__)

LIFETIMES = 6
"""An advert is believed for this many repetitions."""
PROVIDE_SECONDS = 6 * 3600.0
ASK_SECONDS = 10.0
START_SECONDS = 3.0
"""How long the start waits for peers, all together."""
FRESH_MS = 250
FRAME_SLACK = 256


@dataclass
class Advertising:
    """One node's voice in the market, and its ear."""

    config: NodeConfig
    key: Key
    domain: Domain
    engines: Engines
    transport: Transport
    book: AddressBook
    clock: Callable[[], Milliseconds]
    taken: Callable[[ModelId], int]
    """How many jobs of a model run or wait."""
    bootstrap: tuple[PeerAddress, ...]
    journal: Journal
    incarnation: Milliseconds = Milliseconds(0)
    _issued: Milliseconds = Milliseconds(0)
    _last: SignedAdvert | None = None

    def __post_init__(self) -> None:
        self.book.heed = self._heed

    async def check_start(self) -> None:
        """Ask the bootstrap peers for the largest log that this node ever told them of, START_SECONDS at most.

        Raises `Misconfigured` when it is larger than the log here. Peers that do not answer say nothing.
        """
        sizes: list[int] = []
        with trio.move_on_after(START_SECONDS):
            async with trio.open_nursery() as nursery:
                for peer in self.bootstrap[:MAX_PEERS_ASKED]:
                    nursery.start_soon(self._ask_size, peer, sizes)
        if self.bootstrap and not sizes:
            log.warning("no peer could be asked whether it has seen a larger log of this node")
        if max(sizes, default=0) > self.journal.size:
            raise Misconfigured(
                f"Peers have seen {max(sizes)} entries of this node's log, the log here has {self.journal.size}.",
                remedy="Never start a node on an old backup: restore the newest log, or make a new node.",
            )

    async def _ask_size(self, peer: PeerAddress, sizes: list[int]) -> None:
        try:
            sizes.append(await ask_log_size(self.transport, peer, self.key.address, self.domain))
        except (Unreachable, Invalid, Refused, Deferred) as error:
            log.info("peer %s does not tell what it has seen of us: %s", peer.peer, error)

    def _heed(self, known: VerifiedAdvert) -> None:
        """Stop when somebody else advertises as this node: raises `Misconfigured`, and nothing more is signed."""
        said, size = known.advert, self.journal.size
        later = self.incarnation and said.incarnation > self.incarnation + MAX_CLOCK_SKEW_MS
        if known.node == self.key.address and (said.log_size > size or later):
            error = Misconfigured(
                f"Another instance of this node runs: it advertises {said.log_size} entries, the log here has {size}.",
                remedy="Stop one of the two for good; never start the one with the smaller log again.",
            )
            self.journal.stop(error)
            raise error

    def sign(self, *, leaving: bool = False) -> SignedAdvert:
        """A fresh advert, kept in our own book too. Time never stands still between two of them."""
        self._issued = Milliseconds(max(self.clock(), self._issued + 1))
        self.incarnation = self.incarnation or self._issued
        lifetime = int(LIFETIMES * self.config.advert_seconds * 1000)
        advert = Advert(
            peer=self.key.peer_id,
            addresses=tuple((self.config.announce or self.transport.addresses)[:16]),
            incarnation=self.incarnation,
            issued=self._issued,
            expires=Milliseconds(self._issued + lifetime),
            log_size=self.journal.size,
            offers=() if leaving else tuple(served.offer(self.taken(served.model)) for served in self.engines),
        )
        signed = sign_advert(advert, self.domain, self.key)
        try:
            self.book.add(signed)
        except InvalidAdvert as error:
            log.warning("our own advert is believed again once the clock, which was set back, has caught up: %s", error)
        self._last = signed
        return signed

    def latest(self) -> SignedAdvert:
        """The advert as it stands, signed afresh at most every FRESH_MS: asking costs us less than the asker."""
        if self._last is None or self.clock() - self._issued >= FRESH_MS:
            return self.sign()
        return self._last

    async def spread(self, *, leaving: bool = False) -> None:
        """Gossip one advert; nobody listening is no error."""
        frame = encode_frame(Adverts((self.sign(leaving=leaving),)))
        try:
            await self.transport.publish(ADVERT_TOPIC, frame[HEADER_BYTES:])
        except Unreachable as error:
            log.info("nobody heard the advert: %s", error)

    async def speak(self) -> None:
        """Repeat the advert until cancelled."""
        while True:
            await self.spread()
            await trio.sleep(self.config.advert_seconds)

    async def learn(self) -> None:
        """Ask the bootstrap peers whom they know, until cancelled: gossip alone reaches only who is meshed."""
        while True:
            await discover(self.transport, self.book, self.bootstrap)
            await trio.sleep(3 * self.config.advert_seconds)

    async def provide(self) -> None:
        """Keep the provider records of the models alive in the DHT."""
        while True:
            try:
                for served in self.engines:
                    await self.transport.provide(served.model)
                pause = PROVIDE_SECONDS if self.book.adverts() else self.config.advert_seconds
            except Unreachable as error:
                log.info("no provider record yet: %s", error)
                pause = self.config.advert_seconds
            await trio.sleep(pause)

    async def listen(self) -> None:
        """Keep what others gossip, if it holds."""
        async with self.transport.subscribe(ADVERT_TOPIC) as messages:
            async for peer, data in messages:
                try:
                    answer = INFO_ANSWER.decode(data)
                    for signed in answer.adverts[:1] if isinstance(answer, Adverts) else ():
                        self.book.add(signed)
                except Invalid as error:
                    log.debug("gossip of %s does not hold: %s", peer, error)

    async def serve(self, stream: Stream) -> None:
        """Answer `/tallynet/info/1`: the adverts we know, ours first; a bad question gets its reason."""
        try:
            ask = await receive_frame(stream, INFO_ASK, seconds=ASK_SECONDS)
        except Invalid as error:
            await send_frame(stream, rejection(error))
            return
        own = self.latest()
        if ask.node is not None:
            found = own if ask.node == self.key.address else self.book.largest(ask.node)
            await send_frame(stream, Adverts((found,) if found else ()))
            return
        known = [known.signed for known in self.book.adverts(ask.model) if known.node != self.key.address]
        mine = [own] if ask.model is None or own.advert.offer(ask.model) else []
        await send_frame(stream, Adverts(_fitting([*mine, *known])))


def _fitting(adverts: list[SignedAdvert]) -> tuple[SignedAdvert, ...]:
    """As many, from the first, as one frame holds."""
    room = MAX_FRAME_BYTES - FRAME_SLACK
    fitting: list[SignedAdvert] = []
    for signed in adverts[:MAX_ADVERTS]:
        room -= len(msgspec.msgpack.encode(signed))
        if room < 0:
            break
        fitting.append(signed)
    return tuple(fitting)
