"""The smoke suite on a real network: jobs over libp2p, an anchored report, and every number computed again from it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from typer.testing import CliRunner

from tallynet.client import Client
from tallynet.console.network_file import write_network
from tallynet.devnet.command import app
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.devnet.world import real_world
from tallynet.engine import open_engine
from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.report import Report, decode_report
from tallynet.protocol.bundle import read_bundle

RUNNER = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"})


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, object]:
        value: dict[str, object] = json.loads(self.stdout.splitlines()[-1])
        return value


async def run(*arguments: str | Path) -> Outcome:
    """A command in a thread of its own: it brings its own loop."""
    result = await trio.to_thread.run_sync(RUNNER.invoke, app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@asynccontextmanager
async def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """Two nodes that serve tally-tiny; the network file."""
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"TALLYNET_{name}", str(folder / name.lower()))
    engine = await trio.to_thread.run_sync(open_engine, str(DEFAULT_MODEL))
    async with open_devnet(folder / "nodes", nodes=2, world=real_world, engine=lambda: engine) as devnet:
        write_network(folder / "network.json", devnet.network)
        yield folder / "network.json"


def evaluate_plainly(network: Path) -> Report:
    """As a program without async does it."""
    with Client(network) as client:
        return client.anchor_report(client.evaluate("tally-tiny", "smoke", limit=1), 30)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what libp2p imports calls itself deprecated
async def test_tally_tiny_is_evaluated_and_the_report_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tiny.report.tally"
    async with serving(tmp_path, monkeypatch) as network:
        evaluated = await run(
            "evaluate", "tally-tiny", "--suite", "smoke", "--limit", "2", "--save", file, "--anchor-wait", "30",
            "--network", network,
        )  # fmt: skip
        plain = await trio.to_thread.run_sync(evaluate_plainly, network)
        verified = await run("audit", "verify", file, "--network", network, "--json")
        again = await run("evaluate", "tally-tiny", "--rerun", file, "--save", file.with_name("again"), "--network",
                          network, "--anchor-wait", "0", "--json")  # fmt: skip

    assert evaluated.code == 0, evaluated.stderr
    for words in ("smoke 1 (2 items a part) on tally-tiny", "perplexity", "BLEU", "chrF", "exact match", "anchored."):
        assert words in evaluated.stdout
    assert max(len(line) for line in evaluated.stdout.splitlines() if str(tmp_path) not in line) <= 80

    assert verified.code == 0 and verified.json["verdict"] == "ok", verified.stdout
    assert len(plain.evaluation.runs) == len(list_questions(plain.evaluation.suite, 1))
    assert read_bundle(plain.closing).inclusion is not None
    checks = verified.json["checks"]
    assert isinstance(checks, list) and [check["state"] for check in checks] == ["ok"] * 14

    report = decode_report(file.read_bytes()).evaluation
    values = {(metric.part, metric.kind.value): metric.value / 1e6 for metric in report.metrics}
    assert len(report.runs) == 2 + 2 + 2 + 2 + 4
    assert values["capitals", "exact-match"] == 1
    assert values["words", "bleu"] == pytest.approx(100)
    assert 1 < values["stories", "perplexity"] < 2
    assert abs(values["names", "difference"]) < 0.1

    compared = again.json["compared"]
    assert again.code == 0 and isinstance(compared, dict)
    assert (compared["same"], compared["of"], compared["agrees"]) == (12, 12, True)

    replayed = await run("audit", "evaluate", file, "--model", DEFAULT_MODEL, "-n", "5", "--device", "cpu", "--json")
    assert [replayed.json[name] for name in ("verdict", "replayed", "of")] == ["pass", 5, 12], replayed.stdout
    altered = file.with_name("altered")
    altered.write_bytes(file.read_bytes().replace(b'"value": 100', b'"value": 101', 1))
    refused = await run("audit", "evaluate", altered, "--model", DEFAULT_MODEL, "--json")
    assert refused.code == 1 and "(8) " in str(refused.json["error"])
