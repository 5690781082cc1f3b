"""`tallynet run`, `code`, `summarise`, `answer`: what they print, their JSON, their exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from tallynet.client import document_command, summary_command, task_commands
from tallynet.client.tasks import find_template
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import decode_request
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import TEXT
from tests.client.test_commands import last_object

app = typer.Typer()
for function in (task_commands.run, task_commands.code, document_command.answer):
    app.command()(function)
app.command("summarise")(summary_command.summarise_file)

Run = Callable[..., Result]
TEMPLATE = 'name = "greet"\nversion = 1\nabout = "Greets."\ninputs = {name = "whom", tone = "how"}\n'


@pytest.fixture
def transport() -> HostedTransport:
    return HostedTransport({})


@pytest.fixture
def run(transport: HostedTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs one command in the hosted network, in an empty folder."""
    for module in (task_commands, summary_command, document_command):
        monkeypatch.setattr(module, "open_client", lambda _, keep=True: transport.client())
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, env={"COLUMNS": "80", "TERM": "dumb"})

    return invoke


def prompt(transport: HostedTransport, number: int = -1) -> str:
    request = decode_request(transport.nodes[0].submits[number].request)
    return request.messages[-1].content if request.messages else request.text


def test_a_task_is_asked_in_the_words_of_its_template(run: Run, transport: HostedTransport) -> None:
    result = run("run", "translate", "--to", "fr", "cat")

    assert (result.exit_code, result.stdout) == (0, TEXT + "\n")
    assert prompt(transport) == "Translate cat into French."
    assert "signed as leaf 0" in result.stderr


def test_a_task_as_json_says_what_it_was_asked_with(run: Run) -> None:
    told = last_object(run("run", "translate@1", "--to", "fr", "cat", "--json"))

    assert told["value"] == told["text"] == TEXT
    assert told["template"] == {"name": "translate@1", "digest": find_template("translate@1").digest.hex()}
    assert told["evidence"] == "signed" and told["documents"] == []


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("run", "translate", "--to", "fr", "cat"), "[user]\nTranslate cat into French.\n"),
        (("code", "Sort a list."), "[user]\nSort a list.\n"),
        (("run", "translate", "--to", "fr", "cat", "--model", "opus-mt-en-fr"), "cat\n"),
    ],
)
def test_the_prompt_can_be_seen_and_nobody_is_asked(
    run: Run, transport: HostedTransport, arguments: tuple[str, ...], shown: str
) -> None:
    assert run(*arguments, "--show-prompt").stdout == shown
    assert last_object(run(*arguments, "--show-prompt", "--json"))["prompt"] == shown.rstrip("\n")
    assert transport.nodes[0].submits == []


def test_a_label_alone_is_printed(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].pieces = (ChunkBody((1,), "It is Good.", (-0.5,)),)
    result = run("run", "classify", "Nice!", "--label", "good", "--label", "bad")

    assert result.stdout == "good\n"
    assert "Labels: good, bad" in prompt(transport)


def test_json_is_printed_as_it_fits_the_schema(run: Run, transport: HostedTransport, tmp_path: Path) -> None:
    transport.nodes[0].pieces = (ChunkBody((1,), 'Here: {"city": "Oslo"}', (-0.5,)),)
    (tmp_path / "schema.json").write_text('{"type": "object", "required": ["city"]}')
    result = run("run", "extract", "I live in Oslo.", "--schema", "schema.json")

    assert json.loads(result.stdout) == {"city": "Oslo"}


def test_an_unfit_answer_exits_1_and_its_proof_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text("{}")
    result = run(
        "run", "extract", "Oslo", "--schema", "schema.json", "--save", "a.tally", "--anchor-wait", "0", "--json"
    )

    assert result.exit_code == 1
    assert last_object(result)["error"]["code"] == "unfit-answer"
    assert read_bundle((tmp_path / "a.tally").read_text())


def test_a_template_of_ones_own(run: Run, transport: HostedTransport, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "greet-1.toml").write_text(TEMPLATE + '[[forms]]\nuser = "Greet {{ name }}, {{ tone }}."')
    result = run("run", "greet", "Ada", "--templates", "own", "-i", "tone=kindly")

    assert result.exit_code == 0, result.output
    assert prompt(transport) == "Greet Ada, kindly."


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("run", "nonsense", "x"), "There is no template"),
        (("run", "translate", "cat"), "lacks to"),
        (("run", "translate", "", "--to", "fr"), "empty"),
        (("run", "translate", "cat", "--to", "fr", "-i", "tone"), "NAME=VALUE"),
        (("run", "extract", "x", "--schema", "missing.json"), "missing.json"),
        (("run", "translate", "cat", "--to", "fr", "--save", "no/where.tally"), "no/where.tally"),
        (("run", "translate", "cat", "--to", "fr", "--templates", "missing"), "missing"),
        (("summarise", "missing.txt"), "missing.txt"),
        (("answer", "Why?", "--docs", "missing"), "missing"),
    ],
)
def test_what_makes_no_sense_exits_2_and_asks_nobody(
    run: Run, transport: HostedTransport, arguments: tuple[str, ...], reason: str
) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())
    assert transport.nodes[0].submits == []


def test_code_comes_alone_to_stdout(run: Run, transport: HostedTransport) -> None:
    assert run("code", "-", stdin="Sort a list.").stdout == TEXT + "\n"
    assert prompt(transport) == "Sort a list."


# Summaries


def test_a_file_is_summarised(run: Run, transport: HostedTransport, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>A text about Japan.")
    result = run("summarise", "page.html", "--words", "20")

    assert (result.exit_code, result.stdout) == (0, TEXT + "\n")
    assert prompt(transport).endswith("in about 20 words.\n\nA text about Japan.")


def test_a_long_text_is_told_with_all_its_jobs(run: Run, transport: HostedTransport) -> None:
    result = run("summarise", "-", "--json", "--max-tokens", "100", stdin="A sentence about Japan. " * 60)

    told = last_object(result)
    assert told["value"] == TEXT
    assert len(told["jobs"]) == len(transport.nodes[0].submits) == 4
    assert told["jobs"][-1]["job"] == told["job"]
    assert "From 4 jobs" in result.stderr


def test_the_prompt_of_a_summary_can_be_seen(run: Run, transport: HostedTransport) -> None:
    assert "A text." in run("summarise", "-", "--show-prompt", stdin="A text.").stdout
    assert transport.nodes[0].submits == []


# Answers from documents


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "japan.md").write_text("Tokyo is the capital of Japan.")
    (tmp_path / "docs" / "bread.md").write_text("In German bread is Brot.")
    return tmp_path / "docs"


@pytest.mark.usefixtures("docs")
def test_an_answer_is_told_with_the_passages_that_it_names(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].pieces = (ChunkBody((1,), "Tokyo [1].", (-0.5,)),)
    result = run("answer", "--docs", "docs", "Is Tokyo in Japan?")

    assert (result.exit_code, result.stdout) == (0, "Tokyo [1].\n")
    assert "[1] japan.md#1" in result.stderr
    assert "names none" not in result.stderr
    assert max(map(len, result.stderr.splitlines())) <= 80


@pytest.mark.usefixtures("docs")
def test_an_answer_as_json_holds_the_passages(run: Run) -> None:
    told = last_object(run("answer", "--docs", "docs", "Is Tokyo in Japan?", "--json", "--passages", "1"))

    (passage,) = told["passages"]
    assert (passage["source"], passage["number"], passage["passage"]) == ("japan.md", 1, 1)
    assert told["documents"] == [passage["digest"]]
    assert told["citations"] == told["unknown"] == []


@pytest.mark.usefixtures("docs")
def test_an_answer_that_names_nothing_says_so(run: Run) -> None:
    result = run("answer", "--docs", "docs", "Is Tokyo in Japan?", "--index", "kept")

    assert "names none of these passages" in result.stderr
    assert Path("kept/passages.sqlite").exists()


@pytest.mark.usefixtures("docs")
def test_the_prompt_of_an_answer_can_be_seen(run: Run, transport: HostedTransport) -> None:
    shown = run("answer", "--docs", "docs/japan.md", "Is Tokyo in Japan?", "--show-prompt").stdout

    assert "[1] Tokyo is the capital of Japan." in shown
    assert transport.nodes[0].submits == []


def test_refusals_are_told_as_by_every_command(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].refusals = [InvalidJob("too dear", check=7)]
    told: dict[str, Any] = last_object(run("code", "Sort.", "--json"))

    assert told["error"]["code"] == "refused"
