"""The examples of client/README.md are true: all of them run here, in their order."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tallynet.client import commands, document_command, summary_command, task_commands
from tallynet.client import session as session_module
from tallynet.client.session import Session, wall_clock
from tallynet.console.network_file import write_network
from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.units import ModelId
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import TEXT

app = typer.Typer()
for function in (
    commands.models, commands.nodes, commands.ask, task_commands.run, task_commands.code, document_command.answer
):  # fmt: skip
    app.command()(function)
app.command("summarise")(summary_command.summarise_file)

README = Path(__file__).parents[2] / "client" / "README.md"
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", README.read_text(), re.DOTALL)
PROGRAMS = [block for kind, block in BLOCKS if kind == "python"]
LINES = [line[2:] for kind, block in BLOCKS if kind == "console" for line in block.splitlines()]
OURS = {"models", "nodes", "ask", "run", "code", "summarise", "answer"}
COMMANDS = [line for line in LINES if line.split()[1] in OURS]


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HostedTransport]:
    """A user with an empty config folder, whose default network is a hosted one."""
    transport = HostedTransport({}, {"name": "qwen3", "model": ModelId(b"\1" * 32)}, clock=wall_clock)
    write_network(tmp_path / "network.json", transport.network)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYNET_CONFIG", str(tmp_path))
    monkeypatch.setenv("TALLYNET_NETWORK", str(tmp_path / "network.json"))
    monkeypatch.setattr(session_module, "_open_transport", lambda: transport)

    async def chain(_: Session) -> MemoryLedger:
        return transport.ledger

    monkeypatch.setattr(Session, "chain", chain)
    yield transport


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program_runs(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(program, str(README), "exec"), {"__name__": "__main__"})

    printed = capsys.readouterr().out
    assert TEXT in printed or "not anchored yet" in printed


@pytest.mark.parametrize("line", COMMANDS)
def test_command_runs(line: str, tmp_path: Path) -> None:
    arguments = shlex.split(line)[1:]
    if "--save" in arguments:
        arguments += ["--anchor-wait", "0"]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "japan.md").write_text("Tokyo is the capital of Japan.")
    result = CliRunner().invoke(app, arguments, input="A text.")

    assert (result.exit_code, result.exception) == (0, None)
    assert ("--save" in arguments) == (tmp_path / "sum.tally").exists()


def test_readme_shows_every_command_of_ours() -> None:
    assert {line.split()[1] for line in COMMANDS} == OURS
    assert len(PROGRAMS) == 7
