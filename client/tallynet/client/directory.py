"""Who can do a job: peers we know are asked first, then the DHT, and as the last resort the contract's registry.

Whoever hands over an advert, it is its own node's signature that counts. A peer that does not answer holds nobody
up: once there is something to choose from, the rest get a moment and no more.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import trio

from tallynet.client.lines import Lines
from tallynet.client.ranking import Candidate, Standing
from tallynet.ledger.ledger import NodeEntry
from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import ask_adverts, discover
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.advert import VerifiedAdvert
from tallynet.protocol.errors import Deferred, Invalid, Misconfigured, NoNodes, Refused, TallyError, Unreachable
from tallynet.protocol.job import Task
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Address, ModelId, PeerId, prefixed

log = logging.getLogger(__name__)

FRESH_SECONDS = 15.0
"""For so long the same question is not asked again while there is an answer."""
MISSED_SECONDS = 2.0
"""For so long it is not asked again when nobody had an answer."""
GRACE_SECONDS = 0.25
"""What slow peers get once somebody has named a node."""
PATIENT_SECONDS = 2.0
"""What slow peers get when a model must not be overlooked."""
PROBE_SECONDS = 0.75
"""What the nodes to choose from get to show that they are there."""
MAX_ASKED = 32
MAX_PROBED = 8

Registry = Callable[[], Awaitable[Sequence[NodeEntry]]]
"""Everyone registered with the contract."""


class Question(NamedTuple):
    """What was looked for; all absent: anybody."""

    model: str = ""
    node: Address | None = None


class Directory:
    """The nodes that this client knows, and what it thinks of them. For one trio loop."""

    def __init__(
        self, transport: Transport, book: AddressBook, known: Iterable[PeerAddress], registry: Registry
    ) -> None:
        """`known` is whom to ask first: the network file's bootstrap peers and nodes."""
        self.transport = transport
        self.lines = Lines()
        """To the nodes, as many as each of them lets one peer have."""
        self._book = book
        self._known = tuple(known)
        self._registry = registry
        self._standings: dict[PeerId, Standing] = {}
        self._speeds: dict[tuple[PeerId, ModelId], float] = {}
        """What we measured of each model of a peer, in tokens per second."""
        self._asked: dict[Question, float] = {}
        self._asking = trio.Lock()

    async def adverts(self) -> Sequence[VerifiedAdvert]:
        """Every node in force now. Raises `NoNodes` when there is none at all."""
        await self._fill(Question(), None, lambda: bool(self._book.adverts()))
        found = self._book.adverts()
        if not found:
            raise NoNodes(
                "No node answers, neither those of the network file nor any from the registry.",
                remedy="Check that the network is up and that --network names its file.",
            )
        return found

    async def hear_out(self) -> None:
        """Give every peer that is known PATIENT_SECONDS to say what it offers, whoever else has answered already."""
        with trio.move_on_after(PATIENT_SECONDS):
            await self._ask(self._peers(), None, lambda: False)

    async def find(self, model: str, node: Address | None = None) -> list[Candidate]:
        """Who offers `model`, a name or a 0x id; one at least, all of one id. `node` narrows it to that one.

        Raises `NoNodes`, or `Misconfigured` for a name that stands for several ids.
        """
        wanted = read_model_id(model)
        await self._fill(Question(model, node), wanted, lambda: bool(self._offers(model, wanted, node)))
        candidates = self._offers(model, wanted, node)
        if not candidates:
            raise self._nobody(model, node)
        _check_one_model(model, candidates)
        if len(candidates) > 1:
            await self._probe(candidates)
        return self._trusted(model, self._offers(model, wanted, node) or candidates, node)

    async def locate(self, node: Address) -> PeerAddress:
        """Where a node can be dialled. Raises `NoNodes`."""
        advert = self._advert(node)
        if advert is None:
            await self._fill(Question(node=node), None, lambda: self._advert(node) is not None)
            advert = self._advert(node)
        if advert is None:
            raise NoNodes(f"Node {prefixed(node)} is not to be found.", remedy="Try again later: it may be restarting.")
        return PeerAddress(advert.advert.peer, advert.advert.addresses)

    def note_answer(self, candidate: Candidate, leaf: Leaf, task: int) -> None:
        """The node has given a verified answer, at the speed that its leaf says; reading a text is no measure of it."""
        peer = candidate.peer.peer
        seconds = (leaf.ended - leaf.started) / 1000
        if seconds and leaf.completion_tokens and task != Task.SCORE:
            self._speeds[peer, leaf.model] = leaf.completion_tokens / seconds
        self._standings[peer] = replace(self._standing(peer), failures=0)

    def note_failure(self, candidate: Candidate, error: TallyError) -> None:
        """The node has failed us; one that sent something invalid is not asked again by this client."""
        standing = self._standing(candidate.peer.peer)
        if isinstance(error, Invalid):
            standing = replace(standing, fault=f"{error.code}: {error}")
        elif not isinstance(error, Deferred):
            standing = replace(standing, failures=standing.failures + 1)
        self._standings[candidate.peer.peer] = standing

    async def _fill(self, question: Question, model: ModelId | None, enough: Callable[[], bool]) -> None:
        """Ask around for adverts, of `model` where its id is known, further and further out, until there is enough.

        Whoever has enough waits for nobody: a long search for one model holds up no question to another.
        """
        if self._is_fresh(question, enough()) or (enough() and self._asking.locked()):
            return
        async with self._asking:
            if self._is_fresh(question, enough()):
                return
            await self._ask(self._peers(), model, enough)
            if not enough() and model is not None:
                await discover(self.transport, self._book, (), model)
            if not enough():
                await self._ask(await self._registered(), model, enough)
            now = trio.current_time()
            self._asked = {asked: at for asked, at in self._asked.items() if now - at < FRESH_SECONDS} | {question: now}

    def _is_fresh(self, question: Question, found: bool) -> bool:
        """Whether the same question was asked a moment ago."""
        asked = self._asked.get(question)
        return asked is not None and trio.current_time() - asked < (FRESH_SECONDS if found else MISSED_SECONDS)

    async def _ask(self, peers: Iterable[PeerAddress], model: ModelId | None, enough: Callable[[], bool]) -> None:
        """Ask peers all at once; when one answer is enough, the others get GRACE_SECONDS more."""
        with trio.CancelScope() as patience:
            async with trio.open_nursery() as nursery:
                for peer in list(peers)[:MAX_ASKED]:
                    nursery.start_soon(self._ask_one, peer, model, enough, patience)

    async def _ask_one(
        self, peer: PeerAddress, model: ModelId | None, enough: Callable[[], bool], patience: trio.CancelScope
    ) -> None:
        began = trio.current_time()
        standing = self._standing(peer.peer)
        try:
            await ask_adverts(self.transport, peer, self._book, model)
        except (Unreachable, Invalid, Refused, Deferred) as error:
            log.info("peer %s was no help: %s", peer.peer, error)
            self._standings[peer.peer] = replace(standing, failures=standing.failures + 1)
            return
        self._standings[peer.peer] = replace(standing, latency_seconds=trio.current_time() - began, failures=0)
        if enough():
            patience.deadline = min(patience.deadline, trio.current_time() + GRACE_SECONDS)

    async def _probe(self, candidates: Sequence[Candidate]) -> None:
        """Ask those we have no latency of directly: who is there, how far away, how busy."""
        unknown = [candidate for candidate in candidates if candidate.standing.latency_seconds is None]
        chosen = random.sample(unknown, min(len(unknown), MAX_PROBED))
        with trio.move_on_after(PROBE_SECONDS):
            model = candidates[0].offer.model
            await self._ask((candidate.peer for candidate in chosen), model, lambda: False)

    def _peers(self) -> list[PeerAddress]:
        """Whom to ask first: the known ones, then some of those that we learnt of."""
        peers = {peer.peer: peer for peer in self._known}
        learnt = list(self._book.adverts())
        for known in random.sample(learnt, min(len(learnt), MAX_PROBED)):
            peers.setdefault(known.advert.peer, PeerAddress(known.advert.peer, known.advert.addresses))
        return list(peers.values())

    async def _registered(self) -> list[PeerAddress]:
        """Peers that the contract knows, in random order; none when the chain does not answer."""
        try:
            entries = await self._registry()
        except (Unreachable, Refused) as error:
            log.info("the registry was no help: %s", error)
            return []
        texts = [entry.multiaddr for entry in entries if entry.multiaddr and not entry.exiting_at]
        return [peer for text in random.sample(texts, len(texts)) for peer in read_peers((text,))]

    def _offers(self, model: str, wanted: ModelId | None, node: Address | None) -> list[Candidate]:
        return [
            Candidate(known, offer, self._standing_with(known.advert.peer, offer.model))
            for known in self._book.adverts(wanted)
            for offer in known.advert.offers
            if (offer.model == wanted or (wanted is None and offer.name == model)) and node in (None, known.node)
        ]

    def _trusted(self, model: str, candidates: list[Candidate], node: Address | None) -> list[Candidate]:
        trusted = [candidate for candidate in candidates if node is not None or not candidate.standing.fault]
        if not trusted:
            faults = "; ".join(sorted({candidate.standing.fault for candidate in candidates}))
            raise NoNodes(
                f"All {len(candidates)} nodes with {model!r} have sent something invalid before: {faults}.",
                remedy="Name one of them with --node to ask it all the same.",
            )
        return trusted

    def _nobody(self, model: str, node: Address | None) -> NoNodes:
        where = "Nobody offers" if node is None else f"Node {prefixed(node)} is not found or does not offer"
        names = sorted({offer.name for known in self._book.adverts() for offer in known.advert.offers})
        shown = f" On offer: {', '.join(repr(name) for name in names[:8])}." if names else " No node answers at all."
        return NoNodes(f"{where} model {model!r}.{shown}")

    def _advert(self, node: Address) -> VerifiedAdvert | None:
        return next((known for known in self._book.adverts() if known.node == node), None)

    def _standing(self, peer: PeerId) -> Standing:
        return self._standings.get(peer, Standing())

    def _standing_with(self, peer: PeerId, model: ModelId) -> Standing:
        """The peer's, with the speed of that model: another one of the same node may be far slower."""
        return replace(self._standing(peer), tokens_per_second=self._speeds.get((peer, model)))


def read_model_id(model: str) -> ModelId | None:
    """The id in `0x…`, None for a name; raises `Misconfigured` for 0x without 32 bytes of hex."""
    if not model.startswith("0x"):
        return None
    try:
        model_id = ModelId(bytes.fromhex(model[2:]))
    except ValueError:
        model_id = ModelId(b"")
    if len(model_id) != 32:
        raise Misconfigured(
            f"{model[:80]!r} is no model id.",
            remedy="A model id is 0x and 64 hex digits; `tallynet models` lists them.",
        )
    return model_id


def read_peers(texts: Iterable[str]) -> list[PeerAddress]:
    """The peer addresses among `texts`; one that cannot be read is passed over."""
    peers = []
    for text in texts:
        try:
            peers.append(PeerAddress.parse(text))
        except Misconfigured as error:
            log.info("passed over: %s", error)
    return peers


def _check_one_model(model: str, candidates: Sequence[Candidate]) -> None:
    ids = sorted({candidate.offer.model for candidate in candidates})
    if len(ids) > 1:
        raise Misconfigured(
            f"The name {model!r} stands for {len(ids)} different models.",
            remedy="Name one by its id: " + ", ".join(prefixed(model_id) for model_id in ids) + ".",
        )
