"""Slashing protection: whoever runs an old copy of a log, or two nodes on one, is stopped before it signs.

What is tried here is what operators do by mistake: restore a backup, copy a folder, start a node twice.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tallynet.ledger import MemoryLedger
from tallynet.network.frames import LOG_ANSWER, receive_frame, send_frame
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.node.anchoring import LOOK_SECONDS, Anchoring
from tallynet.node.journal import LOOK_HOLDS_SECONDS
from tallynet.node.log_desk import LogDesk
from tallynet.node.log_file import LOG_NAME, adopt_log
from tallynet.node.metrics import Metrics
from tallynet.node.signing import promise, state_head
from tallynet.protocol.errors import InvalidCheckpoint, Misconfigured
from tallynet.protocol.units import Seconds, Wei
from tallynet.protocol.wire import LOG_PROTOCOL, AskCheckpoint, AskFile, AskReceipt, LogAnswer, LogAsk, Rejected
from tests.node.examples import CLIENT, DOMAIN, NODE, STRANGER, PaperJournal, append, clock, valid_leaf
from tests.node.one_head import FOREIGN, opened, signs_nothing

pytestmark = pytest.mark.usefixtures("looked_at_every_time")


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
