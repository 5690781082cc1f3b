"""Power fails at any point of writing the log: what was signed is there, and the log is whole.

A process is ended before and after every statement and commit, inside of statements, and by SIGKILL at random moments.
What the kernel had not written out is played through too: the write-ahead log is cut at every frame and in the middle
of each.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tallynet.node.fsck import check_log
from tallynet.node.journal import open_journal
from tallynet.node.log_file import LOG_NAME, adopt_log
from tests.node.examples import DOMAIN, NODE, append, valid_leaf

ROOT = Path(__file__).parents[2]
WAL_NAME = f"{LOG_NAME}-wal"
WAL_HEADER, FRAME_HEADER, PAGE = 32, 24, 4096
"""Bytes of SQLite's write-ahead log: https://www.sqlite.org/fileformat.html, 4.1."""
FRAME = FRAME_HEADER + PAGE
COMMITS = 12


def mortal(folder: Path, how: str, count: int) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.node.mortal", str(folder / "lives"), how, str(count)],
        cwd=ROOT, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "stride", "least"), [("statements", 1, 50), ("opcodes", 2, 20)])
def test_death_at_every_point(tmp_path: Path, how: str, stride: int, least: int) -> None:
    told = mortal(tmp_path, how, stride)

    assert told["wrong"] == []
    assert told["last"] == 0
    assert told["lives"] >= least
    assert told["signed"] >= told["lives"]


@pytest.mark.slow
def test_death_at_random_moments(tmp_path: Path) -> None:
    told = mortal(tmp_path, "kill", 40)

    assert told["wrong"] == []
    assert told["doubles"] == 0
    assert told["signed"] >= 40


@pytest.mark.slow
async def test_a_write_ahead_log_that_ends_anywhere(tmp_path: Path) -> None:
    """`signed` tells how long the file was when each receipt was made: a disk that keeps its word keeps so much."""
    data, signed = tmp_path / "data", []
    with open_journal(data, NODE.address, DOMAIN) as journal:
        with closing(sqlite3.connect(data / LOG_NAME)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(COMMITS):
            await append(journal, number)
            signed.append((data / WAL_NAME).stat().st_size)
        whole = (data / WAL_NAME).read_bytes()
        base = (data / LOG_NAME).read_bytes()
    frames = (len(whole) - WAL_HEADER) // FRAME
    assert len(whole) == WAL_HEADER + frames * FRAME and frames > 3 * COMMITS

    for frame in range(frames + 1):
        for more in (0, 1, FRAME_HEADER, FRAME // 2):
            cut = WAL_HEADER + frame * FRAME + more
            promised = sum(length <= cut for length in signed)
            assert size_after(tmp_path / "cut", base, whole[:cut]) >= promised


def size_after(folder: Path, database: bytes, wal: bytes) -> int:
    """Entries of the log that a disk with these two files holds; it must be whole."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / LOG_NAME).write_bytes(database)
    (folder / WAL_NAME).write_bytes(wal)
    report = check_log(folder, signatures=False)
    assert report.findings == []
    return report.entries


async def test_a_log_cut_in_the_middle_goes_on(tmp_path: Path) -> None:
    """It goes on from its last whole commit: with another entry than the one that was lost and never promised."""
    data, later = tmp_path / "data", tmp_path / "later"
    with open_journal(data, NODE.address, DOMAIN) as journal:
        for number in range(3):
            await append(journal, number)
        whole, base = (data / WAL_NAME).read_bytes(), (data / LOG_NAME).read_bytes()
    assert size_after(later, base, whole[:-FRAME]) == 2
    adopt_log(later)

    with open_journal(later, NODE.address, DOMAIN) as journal:
        assert await append(journal, 9) == 2
        assert journal.tree.leaf(2) == valid_leaf(9).hash
    assert check_log(later, signatures=False).sound
