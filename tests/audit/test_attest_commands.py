"""`attest` and `attestations`: only a report that holds, only by its auditor, and only once."""

from pathlib import Path

import pytest

from tallynet.audit.sample_file import Outcome, SampleReport, sign_report, write_report
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS
from tallynet.protocol.units import prefixed
from tests.audit.examples import NODE, STRANGER
from tests.audit.samples import SIZE, valid_report
from tests.audit.staging import Stage
from tests.audit.suspects import Scene, scene

ADDRESS = prefixed(NODE.address)
FAILED = (Outcome.PASS,) * 19 + (Outcome.FAIL,)


@pytest.fixture
async def made() -> Scene:
    anchored = await scene(SIZE)
    anchored.ledger.mine(DRAW_DELAY_BLOCKS)
    return anchored


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Scene) -> Stage:
    return Stage(tmp_path, made.ledger, monkeypatch)


def written(stage: Stage, report: SampleReport) -> Path:
    path = stage.folder / "sample.json"
    write_report(path, sign_report(report, STRANGER))
    return path


async def test_a_dry_run_sends_nothing(stage: Stage, made: Scene) -> None:
    found = await stage.ran("attest", written(stage, await valid_report(made.ledger)))

    assert found.code == 0
    assert "NOT ATTESTED nothing was sent" in found.words and "give --send" in found.words
    assert await made.ledger.attestations(NODE.address) == []


async def test_what_is_sent_stands_on_the_chain_for_everybody(stage: Stage, made: Scene) -> None:
    report = await valid_report(made.ledger, FAILED)
    path = written(stage, report)
    sent = await stage.ran("attest", path, "--send", "--keystore", stage.keystore(), "--json")
    (one,) = await made.ledger.attestations(NODE.address)

    assert sent.code == 0 and sent.json["attested"] is True
    assert (one.auditor, one.bounds.report, one.bounds.size) == (STRANGER.address, report.digest, SIZE)
    assert (one.bounds.at_most_millionths, one.bounds.at_least_millionths) == (
        report.at_most_millionths,
        report.at_least_millionths,
    )
    assert one.bounds.at_least_millionths > 0
    listed = await stage.ran("attestations", ADDRESS)
    assert f"by {report.auditor}" in listed.words and prefixed(report.digest) in listed.words
    assert f"of {SIZE} entries bad, 95 % sure" in listed.words and listed.words.startswith("at least ")
    assert (await stage.ran("attestations", ADDRESS, "--json")).json["attestations"] == [sent.json["attestation"]]


async def test_a_second_time_finds_the_first(stage: Stage, made: Scene) -> None:
    path = written(stage, await valid_report(made.ledger))
    for _ in range(2):
        sent = await stage.ran("attest", path, "--send", "--keystore", stage.keystore())
        assert sent.code == 0 and sent.words.startswith("ATTESTED in block")
    looked = await stage.ran("attest", path)

    assert looked.words.startswith("ATTESTED in block")
    assert len(await made.ledger.attestations(NODE.address)) == 1


async def test_only_its_auditor_attests_a_report(stage: Stage, made: Scene) -> None:
    path = written(stage, await valid_report(made.ledger))
    found = await stage.ran("attest", path, "--send", "--keystore", stage.keystore(NODE))

    assert found.code == 2
    assert f"the key is that of {ADDRESS}" in " ".join(found.stderr.split())
    assert await made.ledger.attestations(NODE.address) == []


async def test_without_a_key_it_is_said_which_is_missing(stage: Stage, made: Scene) -> None:
    found = await stage.ran("attest", written(stage, await valid_report(made.ledger)), "--send")

    assert found.code == 2
    assert "auditor.key" in found.stderr


async def test_a_report_that_does_not_hold_is_not_attested(stage: Stage, made: Scene) -> None:
    kinder = await valid_report(made.ledger, FAILED, at_most_millionths=1)
    found = await stage.ran("attest", written(stage, kinder), "--send", "--keystore", stage.keystore())

    assert found.code == 1
    assert await made.ledger.attestations(NODE.address) == []


async def test_a_node_of_which_nobody_said_anything(stage: Stage) -> None:
    found = await stage.ran("attestations", ADDRESS)

    assert found.code == 0
    assert found.words == "Nobody has attested anything of this node."
