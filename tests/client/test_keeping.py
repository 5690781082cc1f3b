"""The receipt of every run is kept, whole or not at all, and an answer is never lost over it."""

import logging
from pathlib import Path

import pytest

from tallynet.console.folders import receipts_folder
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.bundle_checks import State, verify_bundle
from tests.client.world import World


async def test_the_receipt_of_a_run_is_kept(world: World, tmp_path: Path) -> None:
    await world.node()
    async with world.client(keep=tmp_path) as client:
        answer = await client.ask("tally-tiny", "Japan?")

    (kept,) = tmp_path.iterdir()
    bundle = read_bundle(kept.read_bytes())
    assert kept.name == f"{answer.job.hex()}.tally"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert bundle.receipt == answer.signed_receipt
    assert State.FAILED not in {result.state for result in verify_bundle(bundle, world.ledger.domain)}


async def test_by_default_it_is_kept_in_the_users_own_folder(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYNET_STATE", str(tmp_path / "state"))
    await world.node()
    async with world.client(keep=True) as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert receipts_folder() == tmp_path / "state" / "receipts"
    assert (receipts_folder() / f"{answer.job.hex()}.tally").exists()
    assert receipts_folder().stat().st_mode & 0o777 == 0o700


async def test_the_receipt_of_a_part_is_kept_too(world: World, tmp_path: Path) -> None:
    """A run that the client cancels after its first words has been logged like any other."""
    await world.node()
    async with world.client(keep=tmp_path) as client, client.stream("tally-tiny", "Japan?") as stream:
        await stream.next_text()

    assert stream.finished
    assert [path.name for path in tmp_path.iterdir()] == [f"{stream.answer.job.hex()}.tally"]


async def test_the_kept_receipt_gets_its_anchor(world: World, tmp_path: Path) -> None:
    node = await world.node()
    async with world.client(keep=tmp_path) as client:
        answer = await client.ask("tally-tiny", "Japan?")
        await node.anchor(world.ledger)
        await client.wait_for_anchor(answer.bundle(), 0)

    (kept,) = tmp_path.iterdir()
    assert read_bundle(kept.read_bytes()).inclusion is not None


async def test_nothing_is_kept_when_told_so(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYNET_STATE", str(tmp_path))
    await world.node()
    async with world.client(keep=False) as client:
        await client.ask("tally-tiny", "Japan?")

    assert not list(receipts_folder().iterdir())


async def test_an_answer_is_not_lost_because_its_receipt_cannot_be_kept(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await world.node()
    with caplog.at_level(logging.WARNING):
        async with world.client(keep=tmp_path / "missing") as client:
            answer = await client.ask("tally-tiny", "Japan?")

    assert answer.text
    assert f"receipt of job {answer.job.hex()} is not kept" in caplog.text
