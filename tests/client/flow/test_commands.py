"""`tallynet flow`: what its commands print, their JSON, their exit codes."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from tallynet.client.flow import commands
from tallynet.client.flow.display import StepBoard
from tallynet.client.flow.progress import StepProgress, StepState
from tallynet.protocol.bundle_checks import State
from tallynet.protocol.errors import InvalidJob, Refused
from tallynet.protocol.flow_checks import verify_flow
from tallynet.protocol.flow_file import parse_flow
from tallynet.protocol.request import NO_MESSAGES
from tallynet.templates.wording_check import check_words
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import TEXT
from tests.client.test_commands import last_object

Run = Callable[..., Result]
FLOW = """
name: capitals
inputs: {country: text}
steps:
  capital: {model: tally-tiny, prompt: "The capital of {{ country }}?"}
  each:
    model: tally-tiny
    map: {over: capital}
    prompt: "{{ item }}"
  best:
    model: tally-tiny
    vote: {ballots: 3}
    prompt: "{{ each|join }}"
"""


@pytest.fixture
def transport() -> HostedTransport:
    return HostedTransport({})


@pytest.fixture
def run(transport: HostedTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs one command in the hosted network, in a folder with a flow."""
    monkeypatch.setattr(commands, "open_client", lambda _: transport.client())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYNET_STATE", str(tmp_path / "state"))
    (tmp_path / "flow.yaml").write_text(FLOW)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(commands.flow_app, list(arguments), env={"COLUMNS": "80", "TERM": "dumb"})

    return invoke


RUN = ("run", "flow.yaml", "--input", "country=Japan", "--anchor-wait", "0")


def test_a_flow_is_run_and_shown(run: Run, transport: HostedTransport) -> None:
    result = run(*RUN)

    assert result.exit_code == 0, result.output
    assert result.stdout == TEXT + "\n"
    assert "5 runs · " in result.stderr and "saved in capitals.flow.tally" in result.stderr
    found = verify_flow(parse_flow(Path("capitals.flow.tally").read_bytes()), transport.ledger.domain)
    assert found.result.said == "ballot 1 wins, 3 of 3 say so"

    shown = run("show", "capitals.flow.tally")
    assert shown.exit_code == 0
    assert "3 of 3" in " ".join(shown.stdout.split())
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_every_run_has_a_place_of_its_own_and_the_newest_is_taken_up(run: Run, transport: HostedTransport) -> None:
    assert run(*RUN, "--resume").exit_code == 2
    assert run(*RUN).exit_code == 0
    transport.nodes[0].refusals = [Refused("no", reason="not today")]
    assert run(*RUN).exit_code == 1
    assert run("run", "flow.yaml", "--resume", "--anchor-wait", "0").exit_code == 0

    assert {path.name for path in Path("state/flows/capitals").iterdir()} == {"1", "2"}
    assert len(transport.nodes[0].runs) == 5 + 5


def test_a_run_as_json(run: Run) -> None:
    told = last_object(run(*RUN, "--json", "-o", "other.tally", "--close", "country"))

    assert told["result"] == told["results"]["best"] == TEXT
    assert told["results"]["each"] == [TEXT]
    assert [entry["step"] for entry in told["runs"]] == ["capital", "each", "best", "best", "best"]
    assert (told["file"], told["anchored"]) == ("other.tally", 0)
    assert b'"Japan"' not in Path("other.tally").read_bytes()


def test_a_failed_step_is_told_and_taken_up(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].refusals = [Refused("no", reason="not today")]
    failed = run(*RUN, "--state", "D", "--json")

    assert failed.exit_code == 1
    assert last_object(failed)["error"]["code"] == "step-failed"
    assert "step 'capital'" in last_object(failed)["error"]["message"]
    assert run(*RUN, "--state", "D", "--json").exit_code == 2
    assert run("run", "flow.yaml", "--state", "D", "--resume", "--anchor-wait", "0").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "missing.yaml"),
        ("run", "flow.yaml", "--input", "city=Tokyo"),
        ("run", "flow.yaml", "--input", "country=Japan", "-o", "missing/x.tally"),
        ("run", "flow.yaml", "--input", "country=Japan", "--resume"),
        ("show", "missing.yaml"),
        ("draw", "flow.yaml", "--state", "missing"),
        ("draw", "flow.yaml", "-o", "missing/x.svg"),
    ],
    ids=range(7),
)
def test_wrong_usage_exits_2_before_anything_is_asked(
    run: Run, transport: HostedTransport, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments, "--json")

    assert result.exit_code == 2
    assert last_object(result)["error"]["remedy"]
    assert transport.nodes[0].submits == []


def test_an_unsound_definition_exits_1(run: Run) -> None:
    Path("flow.yaml").write_text(FLOW.replace("{{ country }}", "{{ town }}"))
    result = run(*RUN, "--json")

    assert result.exit_code == 1
    assert "(2) step 'capital'" in last_object(result)["error"]["message"]


def test_a_definition_is_shown(run: Run) -> None:
    told = last_object(run("show", "flow.yaml", "--json"))

    assert told["steps"][1] == {
        "name": "each", "shape": "map over capital, at most 16", "models": ["tally-tiny"], "builds_on": ["capital"],
    }  # fmt: skip
    assert max(map(len, run("show", "flow.yaml").stdout.splitlines())) <= 80


def test_a_flow_is_drawn_with_its_states(run: Run) -> None:
    assert ElementTree.fromstring(run("draw", "flow.yaml").stdout).get("width")
    assert run("draw", "flow.yaml", "--mermaid").stdout.startswith("flowchart TD\n")
    run(*RUN, "--state", "D")
    standing = last_object(run("draw", "flow.yaml", "--state", "D", "--json"))
    assert standing["states"] == {"capital": "done", "each": "done", "best": "done"}

    assert run("draw", "capitals.flow.tally", "-o", "flow.svg").exit_code == 0
    assert "best · done 3/3" in Path("flow.svg").read_text()


def test_the_folder_of_another_flow_is_not_drawn(run: Run) -> None:
    run(*RUN, "--state", "D")
    Path("other.yaml").write_text(FLOW.replace("name: capitals", "name: others"))

    assert run("draw", "other.yaml", "--state", "D").exit_code == 2


# --- tasks -----------------------------------------------------------------------------------------------

OWN = 'name = "shout"\nversion = 1\nabout = "x"\n[inputs]\ntext = "x"\n[[forms]]\nuser = "Shout {{ text }}!"\n'
TASKS = """
name: tasks
steps:
  french: {model: tally-tiny, task: translate, with: {text: cat, to: fr}}
  loud: {model: tally-tiny, task: shout, with: {text: "{{ french|trim }}"}, vote: {ballots: 2}}
"""


@pytest.fixture
def tasks(run: Run) -> tuple[str, ...]:
    """Says where the templates of one's own are."""
    Path("flow.yaml").write_text(TASKS)
    Path("own").mkdir()
    Path("own", "shout-1.toml").write_text(OWN)
    return ("flow.yaml", "--templates", "own")


def test_tasks_are_run_and_shown(run: Run, tasks: tuple[str, ...], transport: HostedTransport) -> None:
    result = run("run", *tasks, "--anchor-wait", "0")

    assert result.exit_code == 0, result.output
    file = parse_flow(Path("tasks.flow.tally").read_bytes())
    assert verify_flow(file, transport.ledger.domain).file.plan.flow.steps["loud"].prompt == "Shout {{ french|trim }}!"
    assert check_words(file.file.plan.flow).states == {"french": State.OK, "loud": State.SKIPPED}
    shown = " ".join(run("show", *tasks).stdout.split())
    assert "french translate@1 tally-tiny" in shown and "loud shout@1, vote of 2 by majority" in shown
    assert "shout@1, vote of 2 by majority · tally-tiny" in run("draw", *tasks).stdout


def test_a_template_of_one_s_own_is_named_where_it_is_missing(run: Run, tasks: tuple[str, ...]) -> None:
    result = run("run", tasks[0])

    assert result.exit_code == 1
    assert "step 'loud': There is no template 'shout'" in " ".join(result.stderr.split())


def test_a_model_that_takes_no_messages_is_asked_raw(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].refusals = [InvalidJob(f"{NO_MESSAGES}: it has no chat template")]
    result = run(*RUN)

    assert result.exit_code == 1
    assert "Say `raw: true` in the step" in " ".join(result.stderr.split())


def test_the_board_is_quiet_where_nobody_looks() -> None:
    console = Console(force_terminal=True, width=80)
    with console.capture() as captured:
        board = StepBoard(console)
        with board.shown():
            board.tell(StepProgress("capital", StepState.DONE, 1, 1, "said"))
            board.tell(StepProgress("each", StepState.WAITING))
    assert "capital" in captured.get() and "waiting" in captured.get()

    quiet = Console(force_terminal=False, width=80)
    with quiet.capture() as captured, StepBoard(quiet).shown():
        pass
    assert captured.get() == ""
