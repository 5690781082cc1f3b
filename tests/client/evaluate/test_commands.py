"""`tallynet evaluate`: what is wrong with the arguments is said before anything is asked, and reports get a name."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tallynet.client.evaluate.commands import Outcome, evaluation_file
from tallynet.client.evaluate.comparison import Comparison
from tallynet.client.evaluate.display import describe_outcome, print_outcome
from tallynet.devnet.command import app
from tallynet.evaluation.report_file import holds_report, read_report, write_report
from tallynet.protocol.errors import InvalidReport, Misconfigured
from tests.evaluation.examples import EvaluatedNode, evaluate_small


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suite", "nonsense"), "There is no suite 'nonsense'."),
        (("--suite", "."), "suite.toml cannot be read"),
        (("--rerun", "missing"), "The report missing cannot be read"),
        (("--save", "missing/a.report.tally"), "cannot be written"),
        (("--network", "missing.json"), "missing.json cannot be read"),
        (("--node", "0x12", "--network", "missing.json"), "'0x12' names no node."),
    ],
    ids=["suite", "folder", "rerun", "save", "network", "node"],
)
def test_wrong_arguments_exit_2_and_say_what_to_do(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"TALLYNET_{name}", str(tmp_path))

    result = CliRunner().invoke(app, ["evaluate", "tally-tiny", *arguments, "--json"])

    told = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 2
    assert words in told["error"]["message"] and told["error"]["remedy"]


def test_a_report_that_was_given_no_place_has_a_name_of_its_own() -> None:
    report = evaluate_small(EvaluatedNode())
    digest = report.evaluation.digest.hex()[:8]

    assert evaluation_file("org/Model 7b", report) == Path(f"org-Model-7b-small-{digest}.report.tally")
    assert evaluation_file("../..", report) == Path(f"model-small-{digest}.report.tally")


def test_a_report_on_disk_is_recognised_and_read(tmp_path: Path) -> None:
    report, file = evaluate_small(EvaluatedNode()), tmp_path / "a.report.tally"
    write_report(file, report)

    assert holds_report(file) and read_report(file) == report
    assert not holds_report(tmp_path / "missing") and not holds_report(tmp_path)
    with pytest.raises(Misconfigured):
        read_report(tmp_path / "missing")
    with pytest.raises(Misconfigured):
        write_report(tmp_path / "missing" / "a", report)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InvalidReport):
        read_report(file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_differs_from_an_earlier_report_is_named() -> None:
    report = evaluate_small(EvaluatedNode())
    outcome = Outcome(report, Path("a.report.tally"), anchored=False)
    compared, written = Comparison(9, 11, report.evaluation.metrics[:1]), StringIO()

    print_outcome(Console(file=written, width=80), outcome, compared)
    told = describe_outcome(outcome, compared)

    assert "9 of 11 outcomes are those of the earlier report; apart: sums exact-match." in written.getvalue()
    assert "the words are likelier behind boys' names than behind girls' names." in written.getvalue()
    assert max(map(len, written.getvalue().splitlines())) <= 80
    assert isinstance(told["compared"], dict) and told["compared"]["agrees"] is False
    assert told["evidence"] == "signed"


def test_a_report_that_does_not_hold_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out before the network is even looked for."""
    monkeypatch.setenv("TALLYNET_CONFIG", str(tmp_path))
    file = tmp_path / "a.report.tally"
    write_report(file, evaluate_small(EvaluatedNode()))
    file.write_bytes(file.read_bytes().replace(b'"value": 666667', b'"value": 999999'))

    result = CliRunner().invoke(app, ["evaluate", "tally-tiny", "--rerun", str(file), "--json"])

    told = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 1
    assert told["error"]["message"].startswith("(8) sums exact-match: the report says 0.999999")
