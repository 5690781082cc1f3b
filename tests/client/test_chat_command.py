"""`tallynet chat`: lines said and answered, what can be done besides, and answers that are stopped."""

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tallynet.client import chat_command
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.errors import Refused
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import decode_request
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import TEXT, leaf_with
from tests.client.test_blocking import cancelled, interrupt_once
from tests.client.test_commands import last_object

app = typer.Typer()
app.command()(chat_command.chat)

Run = Callable[..., Result]


@pytest.fixture
def transport() -> HostedTransport:
    return HostedTransport({})


@pytest.fixture
def run(transport: HostedTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setattr(chat_command, "open_client", lambda _, keep=True: transport.client())
    monkeypatch.chdir(tmp_path)

    def invoke(*lines: str, options: tuple[str, ...] = ()) -> Result:
        return CliRunner().invoke(app, list(options), input="\n".join(lines), env={"COLUMNS": "80", "TERM": "dumb"})

    return invoke


def asked(transport: HostedTransport) -> list[list[str]]:
    """The contents of all messages, job by job."""
    requests = [decode_request(submit.request) for submit in transport.nodes[0].submits]
    return [[turn.content for turn in request.messages] for request in requests]


def test_each_line_is_said_and_its_evidence_told(run: Run, transport: HostedTransport) -> None:
    result = run("Japan?", "", "  And France?", options=("--system", "Be brief."))

    assert (result.exit_code, result.stdout) == (0, f"{TEXT}\n{TEXT}\n")
    assert asked(transport) == [["Be brief.", "Japan?"], ["Be brief.", "Japan?", TEXT, "And France?"]]
    assert "signed as leaf 0" in result.stderr and "signed as leaf 1" in result.stderr


def test_the_whole_dialogue_as_json(run: Run) -> None:
    told = last_object(run("Japan?", "France?", options=("tally-tiny", "--json")))

    assert [answer["index"] for answer in told["answers"]] == [0, 1]
    assert told["stopped"] == 0


def test_what_can_be_done_besides(run: Run, transport: HostedTransport, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    result = run(
        "/save a.tally", "One", "/save", "/save a.tally", "/new", "Two", "/save all", "/proof", "/help", "/dance"
    )

    assert result.exit_code == 0
    assert asked(transport) == [["One"], ["Two"]]
    assert "Nothing has been answered yet." in result.stderr
    assert "/save needs a name." in result.stderr
    assert "There is no /dance." in result.stderr
    assert "evidence   signed" in result.stderr
    assert [path.name for path in sorted((tmp_path / "all").iterdir())] == ["answer-1.tally", "answer-2.tally"]
    assert read_bundle((tmp_path / "a.tally").read_text()).receipt.receipt.index == 0


def test_an_error_is_told_and_the_chat_goes_on(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].refusals = [Refused("too long")]
    result = run("One", "Two", options=("--json",))

    told = last_object(result)
    assert "too long" in result.stderr
    assert (len(told["answers"]), told["stopped"]) == (1, 1)
    assert asked(transport)[-1] == ["Two"]


def test_an_answer_that_was_cut_short_is_no_part_of_the_dialogue(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].change_leaf = leaf_with(status=Status.DEADLINE)
    told = last_object(run("One", options=("--json",)))

    assert (told["answers"], told["stopped"]) == ([], 1)


def test_ctrl_c_stops_the_answer_and_not_the_chat(run: Run, transport: HostedTransport) -> None:
    node = transport.nodes[0]
    node.pause = 0.3
    thread = interrupt_once(lambda: bool(node.runs))
    result = run("One", "/help", options=("--json",))
    thread.join()

    assert result.exit_code == 0
    assert cancelled(node)
    assert "Stopped" in result.stderr and "/save FILE" in result.stderr
    assert last_object(result)["stopped"] == 1
