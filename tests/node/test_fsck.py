"""`tallynet log fsck`: a sound log is found sound, and whatever is broken in it is found and named."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from typer.testing import CliRunner

from tallynet.devnet.command import app
from tallynet.node.fsck import MAX_FINDINGS, LogReport, check_log
from tallynet.node.journal import open_journal
from tallynet.node.log_file import LOG_NAME, adopt_log
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Seconds
from tallynet.protocol.wire import Cancel, NoConsent, Rejected, encode_frame
from tests.node.examples import DOMAIN, NODE, START, signed_leaf

SIZE = 600
"""Two full tiles and a part of one."""
NOW = START // 1000
NOT_CONSENTED = encode_frame(NoConsent((bytes(32),) * 10))
ANSWER = encode_frame(Rejected("busy", 0, "an answer of one frame", 1))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of SIZE entries, each promised a second later than the one before."""
    folder = tmp_path_factory.mktemp("log")

    async def fill() -> None:
        with open_journal(folder, NODE.address, DOMAIN) as journal:
            async with trio.open_nursery() as nursery:
                for number in range(SIZE):
                    promised = Seconds(NOW + number)
                    nursery.start_soon(journal.append, signed_leaf(number), promised, ANSWER, Seconds(NOW))
                    await trio.testing.wait_all_tasks_blocked()
            await journal.begin(signed_leaf(SIZE).job, Seconds(NOW))

    trio.run(fill)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    copy = shutil.copytree(original, tmp_path / "data")
    adopt_log(copy)
    return copy


def damage(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / LOG_NAME)) as database, database:
        for statement in statements:
            database.execute(statement)


def found(report: LogReport) -> set[int]:
    return {finding.check for finding in report.findings}


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["log", "fsck", *map(str, arguments), "--json"], prog_name="tallynet")
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


def test_a_sound_log(folder: Path) -> None:
    heard: list[tuple[int, int]] = []

    report = check_log(folder, deadlines=True, progress=lambda done, total: heard.append((done, total)))

    assert report.findings == []
    assert (report.sound, report.entries, report.signatures, report.answers) == (True, SIZE, SIZE, SIZE)
    assert report.identity == f"{DOMAIN.chain_id}:{DOMAIN.contract.hex()}:{NODE.address.hex()}"
    assert heard == [(1, SIZE), (257, SIZE), (513, SIZE), (SIZE, SIZE)]


def test_a_log_without_a_table_of_openings_is_sound(folder: Path) -> None:
    damage(folder, "DROP TABLE openings")

    assert check_log(folder).sound


def test_an_empty_log_is_sound(tmp_path: Path) -> None:
    with open_journal(tmp_path, NODE.address, DOMAIN):
        assert check_log(tmp_path).sound


def test_a_log_in_use_can_be_checked(folder: Path) -> None:
    with open_journal(folder, NODE.address, DOMAIN) as journal:
        assert check_log(folder).root == journal.tree.root()


def test_nothing_is_written(folder: Path) -> None:
    before = (folder / LOG_NAME).read_bytes()
    check_log(folder)

    assert (folder / LOG_NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("checks", "statements"),
    [
        ({2}, ["UPDATE identity SET name = 'nobody'"]),
        ({2}, ["DELETE FROM identity"]),
        ({3, 9, 10}, ["DELETE FROM entries WHERE position = 300", "DELETE FROM answers", "DELETE FROM begun"]),
        ({3}, ["UPDATE entries SET position = 1000 WHERE position = 599"]),
        ({4, 9}, ["UPDATE entries SET leaf = zeroblob(352) WHERE position = 7"]),
        ({4, 9}, ["UPDATE entries SET leaf = substr(leaf, 1, 351) WHERE position = 7"]),
        ({4, 9}, ["UPDATE entries SET leaf = 'text' WHERE position = 7"]),
        ({5, 11}, ["UPDATE entries SET job = (SELECT job FROM begun) WHERE position = 7", "DELETE FROM answers"]),
        ({5, 6, 9}, ["UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE position = 6) WHERE position = 7"]),
        ({9}, ["UPDATE head SET size = 599"]),
        ({9}, ["UPDATE head SET root = zeroblob(32)"]),
        ({9}, ["DELETE FROM head"]),
        ({9, 12}, ["DELETE FROM entries WHERE position = 599"]),
        ({11}, ["INSERT INTO begun SELECT job, 0 FROM entries WHERE position = 7"]),
        ({12}, ["UPDATE answers SET job = zeroblob(32) WHERE job = (SELECT job FROM entries WHERE position = 7)"]),
        ({12}, ["UPDATE answers SET frames = x'00' WHERE job = (SELECT job FROM entries WHERE position = 7)"]),
        ({12}, ["UPDATE answers SET frames = x'ffffffff' WHERE job = (SELECT job FROM entries WHERE position = 7)"]),
        ({13}, ["INSERT INTO openings SELECT job, x'00', 0 FROM entries WHERE position = 7"]),
        ({13}, [f"INSERT INTO openings VALUES (zeroblob(32), x'{NOT_CONSENTED.hex()}', 0)"]),
        ({1}, ["DROP TABLE answers"]),
    ],
)
def test_damage_is_found(folder: Path, checks: set[int], statements: list[str]) -> None:
    damage(folder, *statements)

    report = check_log(folder)

    assert not report.sound
    assert found(report) == checks


def test_1_a_file_with_a_broken_page(folder: Path) -> None:
    data = bytearray((folder / LOG_NAME).read_bytes())
    data[20 * 4096 : 20 * 4096 + 64] = b"\xee" * 64
    (folder / LOG_NAME).write_bytes(data)

    assert 1 in found(check_log(folder))


def test_1_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_bytes(b"not a database, but long enough to look like one" * 100)

    assert found(check_log(tmp_path)) == {1}


def test_7_a_job_that_its_client_did_not_sign(folder: Path) -> None:
    leaf = bytearray(signed_leaf(7).pack())
    leaf[-40] ^= 1
    damage(folder, f"UPDATE entries SET leaf = x'{leaf.hex()}' WHERE position = 7")

    assert found(check_log(folder)) == {7, 9}
    assert found(check_log(folder, signatures=False)) == {9}


def test_8_a_promise_that_is_earlier_than_the_one_before(folder: Path) -> None:
    damage(folder, f"UPDATE entries SET anchor_by = {NOW} WHERE position = 7")

    assert check_log(folder).sound
    (finding,) = check_log(folder, deadlines=True).findings
    assert (finding.check, finding.entry) == (8, 7)


def test_what_is_much_too_much_is_counted(folder: Path) -> None:
    damage(folder, "UPDATE entries SET leaf = zeroblob(352)")

    report = check_log(folder)

    assert len(report.findings) == MAX_FINDINGS
    assert report.found == SIZE + 1


def test_no_log_is_no_sound_log(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="There is no log"):
        check_log(tmp_path)


def test_the_command_tells_all_of_it(folder: Path, tmp_path: Path) -> None:
    code, told = run(folder, "--deadlines")
    assert (code, told["sound"], told["entries"], told["findings"]) == (0, True, SIZE, [])

    damage(folder, "UPDATE head SET size = 599")
    code, told = run(folder)
    assert (code, told["sound"], told["found"]) == (1, False, 1)
    assert "the head says 599 entries" in told["findings"][0]["message"]

    code, told = run(tmp_path / "elsewhere")
    assert (code, told["error"]["code"]) == (2, "misconfigured")


def test_a_message_of_the_other_side_is_no_answer(folder: Path) -> None:
    damage(folder, f"UPDATE answers SET frames = x'{encode_frame(Cancel()).hex()}'")

    assert check_log(folder).found == SIZE


def test_a_copy_is_adopted_by_command(original: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(original, tmp_path / "data")

    refused = CliRunner().invoke(app, ["log", "adopt", str(copy)], input="n\n", prog_name="tallynet")
    assert refused.exit_code == 1
    with pytest.raises(Misconfigured, match="is a copy"), open_journal(copy, NODE.address, DOMAIN):
        pass

    done = CliRunner().invoke(app, ["log", "adopt", str(copy), "--yes", "--json"], prog_name="tallynet")
    assert done.exit_code == 0
    assert json.loads(done.stdout.splitlines()[-1]) == {"adopted": str(copy / LOG_NAME)}
    with open_journal(copy, NODE.address, DOMAIN) as journal:
        assert journal.size == SIZE


def test_there_is_nothing_to_adopt(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["log", "adopt", str(tmp_path), "--yes"], prog_name="tallynet")

    assert done.exit_code == 2
