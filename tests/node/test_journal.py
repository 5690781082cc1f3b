"""The log on disk: an index is durable before it is told, and nothing but our own log is ever extended."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tallynet.node.journal import Journal, open_journal
from tallynet.node.log_file import adopt_log
from tallynet.protocol import merkle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Address, JobId, Seconds
from tests.node.examples import DOMAIN, NODE, START, STRANGER, append, valid_leaf


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    with open_journal(folder, NODE.address, DOMAIN) as journal:
        yield journal


@contextmanager
def behind_its_back(folder: Path) -> Iterator[sqlite3.Connection]:
    """Another connection to the same file, as a broken disk or a second program would have it."""
    database = sqlite3.connect(folder / "log.sqlite")
    try:
        with database:
            yield database
    finally:
        database.close()


async def fill(folder: Path, count: int) -> None:
    with opened(folder) as journal:
        for number in range(count):
            await append(journal, number)


async def test_a_new_log_is_empty(tmp_path: Path) -> None:
    with opened(tmp_path / "new" / "folder") as journal:
        assert journal.size == 0
        assert await journal.entry(JobId(bytes(32))) is None
        assert await journal.leaves(0, 10) == []


async def test_indices_follow_each_other(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        indices = [await append(journal, number) for number in range(5)]

        assert indices == [0, 1, 2, 3, 4]
        assert journal.size == 5
        assert journal.tree.root() == merkle.root([valid_leaf(number).hash for number in range(5)])


async def test_what_was_appended_is_found(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 7)
        await append(journal, 8, answer=b"the frames")

        entry = await journal.entry(valid_leaf(8).job)

        assert entry is not None
        assert (entry.index, entry.leaf, entry.anchor_by) == (1, valid_leaf(8), START // 1000 + 3600)
        assert await journal.answer(valid_leaf(8).job) == b"the frames"
        assert await journal.leaves(1, 10) == [valid_leaf(8).pack()]


async def test_many_appends_at_once_get_one_index_each(tmp_path: Path) -> None:
    indices: dict[int, int] = {}

    async def one(number: int) -> None:
        indices[number] = await append(journal, number)

    with opened(tmp_path) as journal:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(one, number)

        assert sorted(indices.values()) == list(range(100))
        for number, index in indices.items():
            assert journal.tree.leaf(index) == valid_leaf(number).hash


async def test_many_appends_at_once_share_their_commits(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with behind_its_back(tmp_path) as database:
            database.execute("CREATE TABLE swaps (size)")
            database.execute("CREATE TRIGGER seen AFTER UPDATE ON head BEGIN INSERT INTO swaps VALUES (new.size); END")
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(append, journal, number)
        with behind_its_back(tmp_path) as database:
            (commits,) = database.execute("SELECT count(*) FROM swaps").fetchone()

        assert journal.size == 100
        assert commits <= 2  # who comes first, and all who came while it was written


async def test_an_index_that_was_told_survives_the_power_cut(tmp_path: Path) -> None:
    """The files are copied the moment an index is told, as a power cut would leave them."""
    data, later = tmp_path / "data", tmp_path / "later"
    with opened(data) as journal:
        index = await append(journal, 3)
        later.mkdir()
        for file in ("log.sqlite", "log.sqlite-wal"):
            (later / file).write_bytes((data / file).read_bytes())
    adopt_log(later)

    with opened(later) as journal:
        entry = await journal.entry(valid_leaf(3).job)

        assert entry is not None and entry.index == index
        assert journal.size == 1


async def test_a_log_goes_on_after_a_restart(tmp_path: Path) -> None:
    await fill(tmp_path, 3)

    with opened(tmp_path) as journal:
        assert journal.size == 3
        assert await append(journal, 3) == 3
        assert journal.tree.root() == merkle.root([valid_leaf(number).hash for number in range(4)])


async def test_a_cancelled_append_leaves_no_gap(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with trio.CancelScope() as scope:
            scope.cancel()
            await append(journal, 0)
        index = await append(journal, 1)

        assert index == journal.size - 1
        assert len(await journal.leaves(0, 10)) == journal.size

    with opened(tmp_path) as journal:
        assert journal.size == index + 1


async def test_a_second_node_is_kept_out(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(Misconfigured, match="in use by another node"), opened(tmp_path):
        pass


async def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    await fill(tmp_path, 1)

    with opened(tmp_path) as journal:
        assert journal.size == 1


@pytest.mark.parametrize(
    ("node", "domain"),
    [
        (STRANGER.address, DOMAIN),
        (NODE.address, Domain(1, DOMAIN.contract)),
        (NODE.address, Domain(DOMAIN.chain_id, STRANGER.address)),
    ],
    ids=["node", "chain", "contract"],
)
async def test_a_log_of_another_identity(tmp_path: Path, node: Address, domain: Domain) -> None:
    await fill(tmp_path, 1)

    with pytest.raises(Misconfigured, match="belongs to 31337:"), open_journal(tmp_path, node, domain):
        pass


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE head SET size = 4", "is damaged: its head says 4 entries"),
        ("UPDATE head SET root = zeroblob(32)", "is damaged: its head says 3 entries"),
        ("DELETE FROM entries WHERE position = 2", "is damaged: its head says 3 entries"),
        ("DELETE FROM entries WHERE position = 1", "misses entry 1"),
        ("UPDATE entries SET leaf = zeroblob(352) WHERE position = 1", "Entry 1 of the log is damaged"),
        ("UPDATE entries SET leaf = substr(leaf, 1, 351) WHERE position = 1", "Entry 1 of the log is damaged"),
        ("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE position = 0) WHERE position = 1", "is damaged"),
        ("DELETE FROM head", "is damaged"),
    ],
    ids=["size", "root", "last-entry", "entry", "leaf", "short-leaf", "repeated-leaf", "head"],
)
async def test_a_damaged_log_is_not_opened(tmp_path: Path, damage: str, words: str) -> None:
    await fill(tmp_path, 3)
    with behind_its_back(tmp_path) as database:
        database.execute(damage)

    with pytest.raises(Misconfigured, match=words), opened(tmp_path):
        pass


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"not a database, but long enough to look like one" * 100)

    with pytest.raises(Misconfigured, match="cannot be used"), opened(tmp_path):
        pass


async def test_the_race_for_the_head_is_lost_without_a_trace(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)
        with behind_its_back(tmp_path) as database:
            database.execute("UPDATE head SET size = 2")

        with pytest.raises(Misconfigured, match="was extended, opened or replaced by somebody else"):
            await append(journal, 1)

        assert journal.size == 1
        assert len(await journal.leaves(0, 10)) == 1


async def test_a_disk_error_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)
        root = journal.tree.root()
        with behind_its_back(tmp_path) as database:
            database.execute("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(FAIL, 'disk full'); END")

        with pytest.raises(Misconfigured, match="disk full"):
            await append(journal, 1)
        assert (journal.size, journal.tree.root()) == (1, root)
        assert await journal.entry(valid_leaf(1).job) is None

        with behind_its_back(tmp_path) as database:
            database.execute("DROP TRIGGER full")
        assert await append(journal, 2) == 1

    with opened(tmp_path) as journal:
        assert journal.size == 2


async def test_a_disk_error_is_told_to_everybody_who_waits(tmp_path: Path) -> None:
    failures: list[Misconfigured] = []

    async def one(number: int) -> None:
        try:
            await append(journal, number)
        except Misconfigured as error:
            failures.append(error)

    with opened(tmp_path) as journal:
        with behind_its_back(tmp_path) as database:
            database.execute("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'disk full'); END")
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(one, number)

        assert len(failures) == 10
        assert journal.size == 0


async def test_one_job_has_one_entry(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0)

        with pytest.raises(Misconfigured, match="UNIQUE"):
            await append(journal, 0)

        assert journal.size == 1
        assert await append(journal, 1) == 1


async def test_answers_are_forgotten_when_their_time_is_over(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        await append(journal, 0, answer=b"secret words")
        expires = START // 1000 + 86_400

        await journal.forget_answers(Seconds(expires - 1))
        assert await journal.answer(valid_leaf(0).job) == b"secret words"
        await journal.forget_answers(Seconds(expires))
        assert await journal.answer(valid_leaf(0).job) is None

        assert await journal.entry(valid_leaf(0).job) is not None


async def test_a_begun_job_is_remembered_until_it_is_in_the_log(tmp_path: Path) -> None:
    first, second = valid_leaf(0).job, valid_leaf(1).job
    with opened(tmp_path) as journal:
        await journal.begin(first, Seconds(1000))
        await journal.begin(second, Seconds(1000))
        await append(journal, 0)

    with opened(tmp_path) as journal:
        assert not await journal.has_begun(first)
        assert await journal.has_begun(second)


async def test_a_begun_job_is_forgotten_once_nobody_can_ask_for_it(tmp_path: Path) -> None:
    job = valid_leaf(0).job
    with opened(tmp_path) as journal:
        await journal.begin(job, Seconds(1000))

        await journal.forget_answers(Seconds(999))
        assert await journal.has_begun(job)
        await journal.forget_answers(Seconds(1000))
        assert not await journal.has_begun(job)


async def test_only_the_owner_may_look_into_the_folder(tmp_path: Path) -> None:
    with opened(tmp_path / "data"):
        assert os.stat(tmp_path / "data").st_mode & 0o077 == 0
