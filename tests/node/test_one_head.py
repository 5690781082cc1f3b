"""Slashing protection: whoever runs an old copy of a log, or two nodes on one, is stopped before it signs.

What is tried here is what operators do by mistake: restore a backup, copy a folder, start a node twice.
"""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from tallynet.engine import FakeEngine
from tallynet.ledger import MemoryLedger
from tallynet.network.address_book import AddressBook
from tallynet.network.discovery import ask_log_size
from tallynet.network.frames import LOG_ANSWER, receive_frame, send_frame
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.node.advertising import Advertising
from tallynet.node.anchoring import LOOK_SECONDS, Anchoring
from tallynet.node.engines import Engines
from tallynet.node.journal import LOOK_HOLDS_SECONDS, Journal, open_journal
from tallynet.node.log_desk import LogDesk
from tallynet.node.log_file import LOG_NAME, adopt_log
from tallynet.node.metrics import Metrics
from tallynet.node.service import Node
from tallynet.node.signing import promise, state_head
from tallynet.protocol.advert import MAX_CLOCK_SKEW_MS, SignedAdvert, sign_advert
from tallynet.protocol.errors import InvalidAdvert, InvalidCheckpoint, Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds, Seconds, Wei
from tallynet.protocol.wire import (
    ADVERT_TOPIC,
    HEADER_BYTES,
    INFO_PROTOCOL,
    LOG_PROTOCOL,
    Adverts,
    AskCheckpoint,
    AskFile,
    AskReceipt,
    LogAnswer,
    LogAsk,
    Rejected,
    encode_frame,
)
from tests.node.examples import (
    CLIENT,
    DOMAIN,
    NODE,
    STRANGER,
    PaperJournal,
    append,
    clock,
    valid_config,
    valid_leaf,
)

FOREIGN = "was extended, opened or replaced by somebody else"


@pytest.fixture(autouse=True)
def looked_at_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look holds: what is tried here takes less time than a look holds for."""
    monkeypatch.setattr("tallynet.node.journal.LOOK_HOLDS_SECONDS", 0.0)


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    with open_journal(folder, NODE.address, DOMAIN) as journal:
        yield journal


def signs_nothing(journal: Journal, words: str = FOREIGN) -> None:
    """None of the three signatures about the log is made."""
    for sign in (
        lambda: promise(journal, valid_leaf(0), 0, Seconds(1), DOMAIN, NODE),
        lambda: state_head(journal, DOMAIN, NODE),
        lambda: state_head(journal, DOMAIN, NODE, 1),
    ):
        with pytest.raises(Misconfigured, match=words):
            sign()


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / LOG_NAME)) as database, database:
        database.execute(statement)


# The row on the disk


async def test_what_is_on_the_disk_is_signed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)

        assert state_head(journal, DOMAIN, NODE).checkpoint.size == 1
        promise(journal, valid_leaf(0), 0, Seconds(1), DOMAIN, NODE)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE head SET size = 0",
        "UPDATE head SET size = 2",
        "UPDATE head SET root = zeroblob(32)",
        "UPDATE head SET opened = opened + 1",
        "DELETE FROM head",
        "DROP TABLE head",
    ],
)
async def test_nothing_is_signed_once_the_row_is_another(tmp_path: Path, statement: str) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)
        change(tmp_path, statement)

        signs_nothing(journal, f"{FOREIGN}|cannot be used")
        with pytest.raises(Misconfigured):
            await append(journal, 1)
        with pytest.raises(Misconfigured):
            await journal.begin(valid_leaf(2).job, Seconds(1))


async def test_a_look_holds_for_a_moment_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tallynet.node.journal.LOOK_HOLDS_SECONDS", LOOK_HOLDS_SECONDS)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with opened(tmp_path) as journal:
        state_head(journal, DOMAIN, NODE)
        change(tmp_path, "UPDATE head SET opened = 0")
        now[0] += 0.9 * LOOK_HOLDS_SECONDS
        state_head(journal, DOMAIN, NODE)
        now[0] += 0.2 * LOOK_HOLDS_SECONDS
        signs_nothing(journal)


async def test_a_row_that_is_put_right_again_does_not_help(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)
        change(tmp_path, "UPDATE head SET size = 2")
        signs_nothing(journal)
        change(tmp_path, "UPDATE head SET size = 1")

        signs_nothing(journal)


async def test_a_signature_may_be_made_while_others_are_written(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)
        async with trio.open_nursery() as nursery:
            for number in range(1, 200):
                nursery.start_soon(append, journal, number)
            while journal.size < 200:
                promise(journal, valid_leaf(0), 0, Seconds(1), DOMAIN, NODE)
                await trio.sleep(0)


async def test_the_other_process_on_a_disk_without_locks_stops_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network disks lock nothing; then the row itself tells the first that there is a second."""
    monkeypatch.setattr("fcntl.flock", lambda file, how: None)
    with opened(tmp_path) as first:
        await append(first, 0)
        with opened(tmp_path) as second:
            signs_nothing(first)
            await append(second, 1)
            assert state_head(second, DOMAIN, NODE).checkpoint.size == 2


async def test_a_backup_written_over_the_log_of_a_running_node(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as journal:
        await append(journal, 0)
    backup = (tmp_path / "data" / LOG_NAME).read_bytes()
    with opened(tmp_path / "data") as journal:
        await append(journal, 1)
        change(tmp_path / "data", "PRAGMA wal_checkpoint(TRUNCATE)")
        (tmp_path / "data" / LOG_NAME).write_bytes(backup)

        with pytest.raises(Misconfigured):
            await append(journal, 2)


async def test_a_log_of_version_0_1_is_taken_over(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)
    for column in ("opened", "place"):
        change(tmp_path, f"ALTER TABLE head DROP COLUMN {column}")

    with opened(tmp_path) as journal:
        await append(journal, 1)
        assert state_head(journal, DOMAIN, NODE).checkpoint.size == 2


# Copies


async def test_a_copied_folder_is_not_opened(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as journal:
        await append(journal, 0)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")

    with pytest.raises(Misconfigured, match="is a copy") as refusal, opened(tmp_path / "copy"):
        pass
    assert f"tallynet log adopt {tmp_path / 'copy'}" in refusal.value.remedy
    with opened(tmp_path / "data") as journal:
        assert journal.size == 1


async def test_a_moved_folder_is_no_copy(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as journal:
        await append(journal, 0)
    (tmp_path / "data").rename(tmp_path / "elsewhere")

    with opened(tmp_path / "elsewhere") as journal:
        assert journal.size == 1


async def test_a_copy_that_was_adopted_is_the_log(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as journal:
        await append(journal, 0)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    adopt_log(tmp_path / "copy")

    for number in (1, 2):
        with opened(tmp_path / "copy") as journal:
            await append(journal, number)
            assert journal.size == number + 1


def test_there_is_nothing_to_adopt(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="There is no log"):
        adopt_log(tmp_path)


async def test_a_log_in_use_is_not_adopted(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(Misconfigured, match="in use"):
        adopt_log(tmp_path)


# The contract


def anchoring(ledger: MemoryLedger, *numbers: int) -> Anchoring:
    return Anchoring(NODE, ledger, PaperJournal(numbers), Metrics(), clock, 300.0, 1000)


async def test_a_second_instance_is_seen_at_the_contract_and_nothing_more_is_signed(autojump_clock: MockClock) -> None:
    ledger = MemoryLedger(clock=lambda: clock() / 1000)
    await ledger.register(CLIENT, NODE, Wei(10**18), "")
    ours, theirs = anchoring(ledger, 0), anchoring(ledger, 0, 1)
    with pytest.RaisesGroup(InvalidCheckpoint):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.run)
            await trio.sleep(LOOK_SECONDS / 2)
            await theirs.anchor()
            state_head(ours.journal, DOMAIN, NODE)
            await trio.sleep(LOOK_SECONDS + 1)

    signs_nothing(ours.journal, "another instance anchors")


async def test_an_anchor_is_not_posted_for_a_log_that_is_no_longer_ours(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    await ledger.register(CLIENT, NODE, Wei(10**18), "")
    with opened(tmp_path) as journal:
        await append(journal, 0)
        one = Anchoring(NODE, ledger, journal, Metrics(), clock, 300.0, 1000)
        change(tmp_path, "UPDATE head SET opened = 0")

        with pytest.raises(Misconfigured, match=FOREIGN):
            await one.anchor()
    assert (await ledger.head(NODE.address)).size == 0


# Peers


def advertising(network: MemoryNetwork, key: Key, folder: Path, size: int, *peers: Key) -> Advertising:
    transport = MemoryTransport(network, key)
    known = tuple(PeerAddress(peer.peer_id, MemoryTransport(network, peer).addresses) for peer in peers)
    config, book = valid_config(folder), AddressBook(DOMAIN, clock)
    return Advertising(
        config, key, DOMAIN, Engines.of(config, FakeEngine()), transport, book, clock, lambda model: 0, known,
        PaperJournal(range(size)),
    )  # fmt: skip


@asynccontextmanager
async def a_peer_that_heard(tmp_path: Path, *adverts: SignedAdvert) -> AsyncIterator[MemoryNetwork]:
    """STRANGER, a node like any other, which has heard these adverts."""
    network = MemoryNetwork()
    peer = advertising(network, STRANGER, tmp_path, 0)
    peer.transport.serve(INFO_PROTOCOL, peer.serve)
    for signed in adverts:
        peer.book.add(signed)
    async with peer.transport.run():
        yield network


def advert_of(folder: Path, size: int) -> SignedAdvert:
    """What this node said when its log had `size` entries."""
    return advertising(MemoryNetwork(), NODE, folder, size).sign()


async def test_an_advert_tells_the_size_of_the_log(tmp_path: Path) -> None:
    assert advert_of(tmp_path, 3).advert.log_size == 3


@pytest.mark.parametrize("size", [3, 4])
async def test_a_start_with_all_that_peers_have_seen(steady_clock: MockClock, tmp_path: Path, size: int) -> None:
    async with a_peer_that_heard(tmp_path, advert_of(tmp_path, 3)) as network:
        ours = advertising(network, NODE, tmp_path, size, STRANGER)
        async with ours.transport.run():
            await ours.check_start()


async def test_a_start_with_less_than_a_peer_has_seen(steady_clock: MockClock, tmp_path: Path) -> None:
    async with a_peer_that_heard(tmp_path, advert_of(tmp_path, 3)) as network:
        ours = advertising(network, NODE, tmp_path, 2, STRANGER)
        async with ours.transport.run():
            with pytest.raises(Misconfigured, match="have seen 3 entries of this node's log, the log here has 2"):
                await ours.check_start()


async def test_peers_remember_the_largest_log_beyond_the_end_of_the_advert(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    larger = advert_of(tmp_path, 3)
    await trio.sleep(1)
    async with a_peer_that_heard(tmp_path, larger, advert_of(tmp_path, 2)) as network:
        await trio.sleep(7 * 24 * 3600)
        ours = advertising(network, NODE, tmp_path, 2, STRANGER)
        async with ours.transport.run():
            with pytest.raises(Misconfigured, match="have seen 3 entries"):
                await ours.check_start()


async def test_a_start_with_no_peer_to_ask(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = advertising(MemoryNetwork(), NODE, tmp_path, 2, STRANGER)
    async with ours.transport.run():
        await ours.check_start()

    assert "no peer could be asked" in caplog.text


async def test_a_peer_that_says_nothing_holds_no_start_up(autojump_clock: MockClock, tmp_path: Path) -> None:
    network = MemoryNetwork()
    silent, ours = MemoryTransport(network, STRANGER), advertising(network, NODE, tmp_path, 2, STRANGER)
    silent.serve(INFO_PROTOCOL, lambda stream: trio.sleep_forever())
    async with silent.run(), ours.transport.run():
        began = trio.current_time()
        await ours.check_start()
        assert trio.current_time() - began <= 3.0


async def test_a_peer_cannot_make_up_what_we_said(steady_clock: MockClock, tmp_path: Path) -> None:
    """Only our own signature counts: a forged or another node's advert keeps nobody from starting."""
    said = advert_of(tmp_path, 3)
    forged = replace(said, advert=replace(said.advert, log_size=2**39))
    other = advertising(MemoryNetwork(), CLIENT, tmp_path, 9).sign()
    for answer in (forged, other):
        network = MemoryNetwork()
        liar, ours = advertising(network, STRANGER, tmp_path, 0), advertising(network, NODE, tmp_path, 2, STRANGER)
        liar.book._largest[NODE.address] = answer
        liar.transport.serve(INFO_PROTOCOL, liar.serve)
        async with liar.transport.run(), ours.transport.run():
            await ours.check_start()
            with pytest.raises(InvalidAdvert):
                await ask_log_size(ours.transport, ours.bootstrap[0], NODE.address, DOMAIN)


async def test_peers_are_told_of_a_node_they_do_not_know(steady_clock: MockClock, tmp_path: Path) -> None:
    async with a_peer_that_heard(tmp_path) as network:
        ours = advertising(network, NODE, tmp_path, 2, STRANGER)
        async with ours.transport.run():
            assert await ask_log_size(ours.transport, ours.bootstrap[0], NODE.address, DOMAIN) == 0
            assert await ask_log_size(ours.transport, ours.bootstrap[0], STRANGER.address, DOMAIN) == 0


async def test_a_running_node_that_hears_of_a_larger_log_of_its_own_stops(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    network = MemoryNetwork()
    ours, peer = advertising(network, NODE, tmp_path, 2), MemoryTransport(network, STRANGER)
    ours.sign()
    async with ours.transport.run(), peer.run():
        with pytest.RaisesGroup(Misconfigured):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.listen)
                await trio.testing.wait_all_tasks_blocked()
                for size in (0, 2, 3):
                    state_head(ours.journal, DOMAIN, NODE)
                    await peer.publish(ADVERT_TOPIC, encode_frame(Adverts((advert_of(tmp_path, size),)))[HEADER_BYTES:])
                    await trio.testing.wait_all_tasks_blocked()

    signs_nothing(ours.journal, "Another instance of this node runs: it advertises 3 entries, the log here has 2")


@pytest.mark.parametrize(("later", "stops"), [(0, False), (MAX_CLOCK_SKEW_MS, False), (MAX_CLOCK_SKEW_MS + 1, True)])
async def test_an_instance_that_was_started_later_stops_the_earlier(
    autojump_clock: MockClock, tmp_path: Path, later: int, stops: bool
) -> None:
    """Two of one size contradict each other with the next job; the clock of a host may have been set back a little."""
    ours = advertising(MemoryNetwork(), NODE, tmp_path, 2)
    first = ours.sign().advert
    await trio.sleep(100)
    started = Milliseconds(first.incarnation + later)
    theirs = replace(first, incarnation=started, issued=clock(), expires=Milliseconds(clock() + 1000))

    if stops:
        with pytest.raises(Misconfigured, match="Another instance"):
            ours.book.add(sign_advert(theirs, DOMAIN, NODE))
        signs_nothing(ours.journal, "Another instance")
    else:
        ours.book.add(sign_advert(theirs, DOMAIN, NODE))
        state_head(ours.journal, DOMAIN, NODE)


async def test_what_others_say_of_themselves_stops_nobody(tmp_path: Path) -> None:
    ours = advertising(MemoryNetwork(), NODE, tmp_path, 2)
    ours.book.add(advertising(MemoryNetwork(), STRANGER, tmp_path, 9).sign())

    state_head(ours.journal, DOMAIN, NODE)


async def asked(desk: LogDesk, ask: LogAsk) -> LogAnswer:
    """What a peer hears."""
    network = MemoryNetwork()
    ours, theirs = MemoryTransport(network, NODE), MemoryTransport(network, STRANGER)
    ours.serve(LOG_PROTOCOL, desk.serve)
    address = PeerAddress(NODE.peer_id, ours.addresses)
    async with ours.run(), theirs.run(), await theirs.open(address, LOG_PROTOCOL) as stream:
        await send_frame(stream, ask)
        answer: LogAnswer = await receive_frame(stream, LOG_ANSWER, seconds=10)
        return answer


# The whole node


async def test_a_restored_backup_is_not_started_when_a_peer_knows_better(
    steady_clock: MockClock, tmp_path: Path
) -> None:
    """The entries that are lost were never anchored: only peers have heard of them."""
    with opened(tmp_path / "data") as journal:
        await append(journal, 0)
    ledger = MemoryLedger(clock=lambda: clock() / 1000)
    await ledger.register(CLIENT, NODE, Wei(10**18), "")
    async with a_peer_that_heard(tmp_path, advert_of(tmp_path, 2)) as network:
        peers = (PeerAddress(STRANGER.peer_id, MemoryTransport(network, STRANGER).addresses),)
        transport = MemoryTransport(network, NODE)
        config = valid_config(tmp_path)
        node = Node(config, NODE, transport, ledger, Engines.of(config, FakeEngine()), peers, clock=clock)
        with pytest.RaisesGroup(Misconfigured, flatten_subgroups=True, allow_unwrapped=True):
            await node.run()


async def test_a_desk_whose_log_is_not_its_own_any_more_tells_nobody_where_it_lies(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)
        desk = LogDesk(NODE, DOMAIN, journal)
        assert (await desk.file("checkpoint")).startswith(b"tallynet/")
        change(tmp_path, "UPDATE head SET opened = 0")

        for ask in (AskCheckpoint(), AskFile("checkpoint"), AskFile("checkpoint/1"), AskReceipt(valid_leaf(0).job)):
            answer = await asked(desk, ask)
            assert isinstance(answer, Rejected)
            assert answer.reason == "the node cannot use its log now"
            assert answer.retry_after_ms > 0
