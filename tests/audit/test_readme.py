"""What the READMEs show of `tallynet audit` is what the commands print."""

from pathlib import Path

import pytest

from tallynet.console.network_file import NetworkFile, write_network
from tallynet.protocol.flow_file import write_flow
from tallynet.protocol.units import prefixed
from tests.audit.examples import DOMAIN, bundle
from tests.audit.staging import Stage
from tests.audit.suspects import Scene, scene
from tests.protocol.flows import capitals, run_flow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
AUDIT_README = (ROOT / "audit" / "README.md").read_text()


@pytest.fixture
async def made() -> Scene:
    """A node that has anchored 3 entries."""
    return await scene(3)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Scene) -> Stage:
    built = Stage(tmp_path, made.ledger, monkeypatch)
    write_network(built.network, NetworkFile("http://127.0.0.1:8545", DOMAIN.chain_id, prefixed(DOMAIN.contract)))
    built.nodes.append(made.node)
    return built


async def test_the_explanation_is_as_printed(stage: Stage, made: Scene) -> None:
    found = await stage.ran("explain", stage.save("answer.tally", made.runs[2]))

    assert found.code == 0
    assert f"$ tallynet audit explain answer.tally\n{found.stdout}```" in README


async def test_the_offline_verification_is_as_printed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYNET_NETWORK")

    found = await stage.ran("verify", stage.save("answer.tally", bundle()), "--offline")

    assert found.code == 0
    assert f"$ tallynet audit verify answer.tally --offline\n{found.stdout}```" in AUDIT_README


async def test_a_flow_is_as_printed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYNET_NETWORK")
    path = stage.folder / "capitals.flow.tally"
    path.write_bytes(write_flow(run_flow(capitals())))

    found = await stage.ran("flow", path, "--offline")

    assert found.code == 0
    assert f"$ tallynet audit flow capitals.flow.tally --offline\n{found.stdout}```" in AUDIT_README


async def test_opening_a_part_is_as_printed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stage.folder)
    stage.save("answer.tally", bundle())

    written = await stage.ran("open", "answer.tally", "--chunk", 1, "-o", "part.tally")
    shown = await stage.ran("verify", "part.tally", "--offline")

    assert f"$ tallynet audit open answer.tally --chunk 1 -o part.tally\n{written.stdout}" in AUDIT_README
    run = shown.stdout[shown.stdout.index("  asked ") : shown.stdout.index("Trusted:")]
    assert f"$ tallynet audit verify part.tally --offline\n  …\n{run}  …\n```" in AUDIT_README
