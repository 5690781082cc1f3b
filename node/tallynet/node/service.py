"""The serving peer, from start to stop. `Node.run` is the whole story; the details are in the files it names."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field

import trio

from tallynet.ledger import Ledger
from tallynet.network.address_book import AddressBook
from tallynet.network.transport import PeerAddress, Transport
from tallynet.node.admission import Admission
from tallynet.node.advertising import Advertising
from tallynet.node.anchoring import Anchoring
from tallynet.node.config import NodeConfig
from tallynet.node.counter import Counter
from tallynet.node.desk import Desk
from tallynet.node.engines import Engines
from tallynet.node.generation import Worker
from tallynet.node.journal import Journal, open_journal
from tallynet.node.log_desk import LogDesk
from tallynet.node.metrics import Metrics
from tallynet.node.opening_desk import OpeningDesk
from tallynet.node.status import Status, serve_http
from tallynet.protocol.errors import Refused, Unreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds, Seconds
from tallynet.protocol.wire import INFO_PROTOCOL, JOB_PROTOCOL, LOG_PROTOCOL

log = logging.getLogger(__name__)

LAST_ANCHOR_SECONDS = 10.0
FORGET_SECONDS = 600.0


def wall_clock() -> Milliseconds:
    return Milliseconds(int(time.time() * 1000))


@dataclass(frozen=True)
class Running:
    """A node that is ready."""

    peer: PeerAddress
    http: str
    """URL of status and log; empty for none."""
    seconds: float
    """From start to ready."""


@dataclass
class Node:
    """One peer: engines, a log, a voice on the network and a line to the chain."""

    config: NodeConfig
    key: Key
    transport: Transport
    ledger: Ledger
    engines: Engines
    bootstrap: tuple[PeerAddress, ...] = ()
    clock: Callable[[], Milliseconds] = wall_clock
    stopping: trio.Event = field(default_factory=trio.Event)
    metrics: Metrics = field(default_factory=Metrics)

    async def run(self, *, task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; reports started when jobs can come. Cancelling it is like pulling the plug.

        Raises `Misconfigured` when the log here is not all that the contract or a peer has seen of it, or when another
        instance of this node turns up, and whatever an engine raises at start.
        """
        began = trio.current_time()
        with self.open_log() as journal:
            async with self._engines_running(), self.transport.run(), trio.open_nursery() as services:
                anchoring = self.anchoring(journal)
                advertising, log_desk = self._advertising(journal), self.log_desk(journal)
                await anchoring.check_start()
                await advertising.check_start()
                async with trio.open_nursery() as runs:
                    desk = self._open_desks(journal, log_desk, advertising, runs)
                    status = Status(self.config, self.key, self.engines, journal, anchoring, desk, self.clock)
                    http = await services.start(serve_http, self.config.http, status, log_desk)
                    for service in (anchoring.run, advertising.speak, advertising.learn, advertising.provide,
                                    advertising.listen, self._forget(journal)):  # fmt: skip
                        services.start_soon(service)
                    task_status.started(self._ready(http, began))
                    await self.stopping.wait()
                    await desk.drain(self.config.drain_seconds)
                await self._say_goodbye(advertising, anchoring)
                services.cancel_scope.cancel()

    def stop(self) -> None:
        """Begin a graceful stop. Idempotent."""
        self.stopping.set()

    @asynccontextmanager
    async def _engines_running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: self.engines.run(task_status=task_status))
            yield
            nursery.cancel_scope.cancel()

    def _open_desks(self, journal: Journal, log_desk: LogDesk, advertising: Advertising, runs: trio.Nursery) -> Desk:
        """Build the parts that talk to peers and begin to answer."""
        domain = self.ledger.domain
        admission = Admission(self.config, domain, self.engines)
        worker = Worker(self.config, self.key, domain, journal, self.clock)
        desk = Desk(admission, worker, self.metrics, runs)
        advertising.taken = desk.taken.__getitem__
        self.transport.serve(JOB_PROTOCOL, Counter(desk, self.metrics, self.config.abandon_seconds).serve)
        self.transport.serve(INFO_PROTOCOL, advertising.serve)
        self.transport.serve(LOG_PROTOCOL, log_desk.serve)
        return desk

    def _advertising(self, journal: Journal) -> Advertising:
        book = AddressBook(self.ledger.domain, self.clock)
        return Advertising(
            self.config, self.key, self.ledger.domain, self.engines, self.transport, book, self.clock,
            taken=lambda model: 0, bootstrap=self.bootstrap, journal=journal,
        )  # fmt: skip

    async def _say_goodbye(self, advertising: Advertising, anchoring: Anchoring) -> None:
        """Tell the market that we leave, and anchor what is left if the chain answers soon."""
        with trio.move_on_after(LAST_ANCHOR_SECONDS) as scope:
            await advertising.spread(leaving=True)
            try:
                await anchoring.anchor()
            except (Unreachable, Refused) as error:
                log.warning("stopping with entries that are not anchored: %s", error)
        if scope.cancelled_caught:
            log.warning("stopping with entries that may not be anchored: the chain is slow")

    def open_log(self) -> AbstractContextManager[Journal]:
        """The log to promise from. This and the three below are all that a node says about its past."""
        return open_journal(self.config.data, self.key.address, self.ledger.domain)

    def log_desk(self, journal: Journal) -> LogDesk:
        """Whoever asks for the log gets it here."""
        return LogDesk(self.key, self.ledger.domain, journal, self.opening_desk(journal))

    def opening_desk(self, journal: Journal) -> OpeningDesk:
        """Auditors ask here for the runs that they drew."""
        return OpeningDesk(self.config, self.key, self.ledger, journal)

    def anchoring(self, journal: Journal) -> Anchoring:
        """What brings the log's head to the contract."""
        return Anchoring(
            self.key, self.ledger, journal, self.metrics, self.clock,
            self.config.anchor_seconds, self.config.anchor_count,
        )  # fmt: skip

    def _forget(self, journal: Journal) -> Callable[[], Awaitable[None]]:
        async def forget() -> None:
            while True:
                await journal.forget_answers(Seconds(self.clock() // 1000))
                await trio.sleep(FORGET_SECONDS)

        return forget

    def _ready(self, http: str, began: float) -> Running:
        peer = PeerAddress(self.key.peer_id, self.config.announce or self.transport.addresses)
        return Running(peer, http, trio.current_time() - began)
