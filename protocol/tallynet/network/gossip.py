"""Gossip: signed messages that spread from peer to peer until everybody subscribed has them.

GossipSub 1.2, and 1.1 with those who know no better. For tens of messages a second (adverts), not for streams.
"""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import libp2p.pubsub.pubsub as pubsub_module
import trio
from libp2p.host.basic_host import BasicHost
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, PROTOCOL_ID_V12, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue

from tallynet.network.inbox import INBOX_MESSAGES, Inbox
from tallynet.network.services import background
from tallynet.network.transport import MAX_GOSSIP_BYTES
from tallynet.protocol.units import PeerId

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1
"""py-libp2p's default of 120 would mend the mesh after a lost peer only two minutes later."""

MAX_MESSAGES_PER_SECOND = 200
"""Per topic and forwarding peer; its default of 10 loses three of four messages in a network of twenty."""

QUEUED_MESSAGES = 1024
"""To one peer. The default of 32 loses the rest of a burst without a word."""

PENDING_MESSAGES = 16
"""Kept for 30 s for each connected peer that has not subscribed, in case it is about to."""


class Gossip:
    """One host's part in the spreading."""

    def __init__(self, host: BasicHost) -> None:
        _enlarge_queues()
        self._own = PeerId(host.get_id().to_base58())
        self._router = _Router(
            protocols=[PROTOCOL_ID_V12, PROTOCOL_ID_V11],
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=HEARTBEAT_SECONDS,
            adaptive_gossip_enabled=False,
            max_messages_per_topic_per_second=MAX_MESSAGES_PER_SECOND,
            max_pending_messages_per_peer=PENDING_MESSAGES,
        )
        self._pubsub = Pubsub(host, self._router, strict_signing=True)
        # Starts at the time in seconds and counts messages: a chatty node that restarts would repeat its numbers,
        # and what repeats a number is not passed on.
        self._pubsub.counter = time.time_ns()
        self._inboxes: dict[str, list[Inbox]] = {}
        self._joining = trio.Lock()
        self._house: trio.Nursery | None = None

    @property
    def peers(self) -> int:
        """Peers that gossip with us."""
        return len(self._pubsub.peers)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        try:
            async with background(self._pubsub), background(self._router), trio.open_nursery() as self._house:
                await self._pubsub.wait_until_ready()
                yield
                self._house.cancel_scope.cancel()
        finally:
            self._house = None
            self._pubsub.seen_messages.stop()  # a thread

    async def publish(self, topic: str, data: bytes) -> None:
        """Best effort: returns when the message is queued for the neighbours, of whom there may be none."""
        if len(data) > MAX_GOSSIP_BYTES:
            raise ValueError(f"gossip of {len(data)} bytes; at most {MAX_GOSSIP_BYTES} are allowed")
        await self._pubsub.publish(topic, bytes(data))

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[AsyncIterator[tuple[PeerId, bytes]]]:
        inbox = Inbox()
        await self._join(topic)
        self._inboxes[topic].append(inbox)
        try:
            yield inbox
        finally:
            self._inboxes[topic].remove(inbox)
            inbox.close()

    async def _join(self, topic: str) -> None:
        """Subscribe once per topic; stays subscribed, for what nobody here reads is still passed on."""
        if self._house is None:
            raise RuntimeError("subscribe() outside run()")
        async with self._joining:
            if topic not in self._inboxes:
                self._pubsub.set_topic_validator(topic, _is_small, is_async_validator=True)
                await self._house.start(self._distribute, topic)

    async def _distribute(self, topic: str, task_status: trio.TaskStatus[None]) -> None:
        subscription = await self._pubsub.subscribe(topic)
        self._inboxes[topic] = []
        task_status.started()
        async for message in subscription:
            author = PeerId(ID(message.from_id).to_base58())
            if author != self._own:
                for inbox in self._inboxes[topic]:
                    inbox.put(author, message.data)


class _Router(GossipSub):
    async def heartbeat(self) -> None:
        """Go on after a failed beat: the original ends, and takes all gossip with it."""
        while True:
            try:
                await super().heartbeat()
            except Exception as error:
                log.debug("a heartbeat of gossip failed: %r", error)
                await trio.sleep(HEARTBEAT_SECONDS)


async def _is_small(forwarder: ID, message: rpc_pb2.Message) -> bool:
    """The validator of all topics. Asynchronous, because an exception in a synchronous one is not caught."""
    await trio.lowlevel.checkpoint()
    return len(message.data) <= MAX_GOSSIP_BYTES


def _enlarge_queues() -> None:
    """Make room for bursts: both queues hold 32 messages and drop the rest silently. Idempotent."""
    pubsub_module.SUBSCRIPTION_CHANNEL_SIZE = INBOX_MESSAGES
    vars(pubsub_module)["RpcQueue"] = partial(RpcQueue, max_size=QUEUED_MESSAGES)
