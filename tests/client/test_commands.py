"""`tallynet models`, `nodes` and `ask`: what they print, their JSON, their exit codes."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import typer
from typer.testing import CliRunner, Result

from tallynet.client import commands
from tallynet.client.display import money, plain
from tallynet.console.network_file import write_network
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Message, Request, decode_request
from tallynet.protocol.units import Wei, prefixed
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import MODEL, TEXT, leaf_with, with_body
from tests.client.test_blocking import cancelled, interrupt_once

app = typer.Typer()
for function in (commands.models, commands.nodes, commands.ask, commands.embed):
    app.command()(function)

Run = Callable[..., Result]
QUESTION = ("ask", "tally-tiny", "What is the capital of Japan?")


@pytest.fixture
def transport() -> HostedTransport:
    return HostedTransport({})


@pytest.fixture
def run(transport: HostedTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs one command in the hosted network, in an empty folder."""
    monkeypatch.setattr(commands, "open_client", lambda _, keep=True: transport.client(keep and tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, env={"COLUMNS": "80", "TERM": "dumb"})

    return invoke


def last_object(result: Result) -> dict[str, Any]:
    """The JSON object that must be the only line of stdout."""
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_models_are_listed(run: Run) -> None:
    result = run("models")

    assert result.exit_code == 0
    assert re.search(r"tally-tiny\s+0x00010203…\s+1\s+512\s+100\s+2000 wei \+ 3000 wei", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_models_as_json(run: Run) -> None:
    assert last_object(run("models", "--json")) == {
        "models": [
            {
                "name": "tally-tiny",
                "model": prefixed(MODEL),
                "nodes": 1,
                "context_length": 512,
                "prompt_price_wei": 2,
                "completion_price_wei": 3,
                "tokens_per_second": 100,
                "free_slots": 4,
                "task": 1,
                "evidence": "replayable",
            }
        ]
    }


def test_nodes_are_listed(run: Run, transport: HostedTransport) -> None:
    result = run("nodes")

    assert result.exit_code == 0
    assert re.search(rf"{prefixed(transport.nodes[0].key.address)}\s+tally-tiny\s+4/4\s+100", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_nodes_as_json(run: Run, transport: HostedTransport) -> None:
    (node,) = last_object(run("nodes", "--json"))["nodes"]

    assert node["node"] == prefixed(transport.nodes[0].key.address)
    assert node["peer"] == transport.nodes[0].key.peer_id
    assert node["offers"][0]["model"] == prefixed(MODEL)
    assert node["offers"][0]["evidence"] == "replayable"


def test_answer_alone_goes_to_stdout(run: Run) -> None:
    result = run(*QUESTION)

    assert result.exit_code == 0
    assert result.stdout == TEXT + "\n"
    assert re.search(r"5 tokens · \d+ tokens/s · 25 wei · signed as leaf 0 · node 0x\w{8}…", result.stderr)


def test_text_is_printed_as_it_is(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].pieces = (ChunkBody((1,), "a\tb [red]c[/]\n\n東京 :smile: " + "x" * 100, (-1.0,)),)
    result = run(*QUESTION)

    assert result.stdout == "a\tb [red]c[/]\n\n東京 :smile: " + "x" * 100 + "\n"


def test_answer_as_json(run: Run, transport: HostedTransport) -> None:
    result = run(*QUESTION, "--json")
    answer = last_object(result)
    job = next(iter(transport.nodes[0].runs))

    assert result.exit_code == 0
    assert 0 <= answer["seconds"].pop("first_token") <= answer["seconds"].pop("total")
    assert answer == {
        "text": TEXT,
        "finish": "eos",
        "model": {"name": "tally-tiny", "id": prefixed(MODEL)},
        "node": prefixed(transport.nodes[0].key.address),
        "job": prefixed(job),
        "tokens": {"prompt": 5, "completion": 5},
        "price_wei": 25,
        "index": 0,
        "anchor_by": 1_767_225_600 + 600,
        "evidence": "signed",
        "seconds": {},
        "saved": None,
        "anchored": False,
        "failures": [],
    }


def test_options_reach_the_job(run: Run, transport: HostedTransport) -> None:
    result = run(
        *QUESTION, "--system", "Be brief.", "--max-tokens", "9", "--temperature", "0.7", "--top-k", "5",
        "--top-p", "0.9", "--stop", "\n", "--stop", "END", "--max-price", "777",
        "--node", transport.nodes[0].key.peer_id,
    )  # fmt: skip
    submit = transport.nodes[0].submits[0]
    sampling = submit.signed.job.sampling

    assert result.exit_code == 0
    assert decode_request(submit.request) == Request((Message("system", "Be brief."), Message("user", QUESTION[2])))
    assert (sampling.max_tokens, sampling.temperature_millionths, sampling.top_k) == (9, 700_000, 5)
    assert (sampling.top_p_millionths, sampling.stop) == (900_000, ("\n", "END"))
    assert submit.signed.job.max_price == 777


def test_raw_text_goes_without_a_template(run: Run, transport: HostedTransport) -> None:
    run("ask", "tally-tiny", "Once upon", "--raw")

    assert decode_request(transport.nodes[0].submits[0].request) == Request(text="Once upon")


def test_question_from_stdin(run: Run, transport: HostedTransport) -> None:
    run("ask", "tally-tiny", "-", stdin="日本の首都は？")

    assert decode_request(transport.nodes[0].submits[0].request).messages[0].content == "日本の首都は？"


@pytest.mark.parametrize("stdin", [b"", b"\xff\xfe", b"x" * 300_000], ids=["empty", "no UTF-8", "too long"])
def test_unusable_stdin_is_a_usage_error(run: Run, stdin: bytes) -> None:
    assert run("ask", "tally-tiny", "-", stdin=stdin).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "tally-tiny"),
        (*QUESTION, "--max-tokens", "0"),
        (*QUESTION, "--temperature", "-1"),
        (*QUESTION, "--top-p", "0"),
        (*QUESTION, "--node", "0x12"),
        (*QUESTION, "--node", "nobody"),
        (*QUESTION, "--raw", "--system", "Be brief."),
        (*QUESTION, "--save", "missing/a.tally"),
        ("ask", "tally-tiny", ""),
        ("ask", "0x12", "Japan?"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(run: Run, transport: HostedTransport, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
    assert transport.nodes[0].submits == []


def test_unknown_model_exits_1_and_says_what_to_do(run: Run) -> None:
    result = run("ask", "llama", "Japan?")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Nobody offers model 'llama'" in result.stderr
    assert "tallynet models" in result.stderr


def test_failure_as_json_is_one_object_too(run: Run) -> None:
    result = run("ask", "llama", "Japan?", "--json")

    assert result.exit_code == 1
    assert last_object(result)["error"]["code"] == "no-nodes"


def test_cheat_exits_1_and_its_text_is_not_shown(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].change_frame = lambda frame, _: with_body(frame, text="Paris")
    result = run(*QUESTION)

    assert result.exit_code == 1
    assert "Paris" not in result.stdout
    assert "is not signed by its node" in result.stderr.replace("\n", " ")


def test_refusal_exits_1(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].refusals = [InvalidJob("the prompt has 700 tokens, the context 512", check=5)]
    result = run(*QUESTION)

    assert result.exit_code == 1
    assert "the prompt has 700 tokens" in result.stderr


def test_answer_that_was_cut_short_exits_1(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].change_leaf = leaf_with(status=Status.SHUTDOWN)
    result = run(*QUESTION, "--json")

    assert result.exit_code == 1
    assert last_object(result)["finish"] == "shutdown"
    assert "cut short: shutdown" in " ".join(result.stderr.split())


def test_the_receipt_of_every_run_is_kept(run: Run, tmp_path: Path) -> None:
    job = last_object(run(*QUESTION, "--json"))["job"]

    (kept,) = (tmp_path / "kept").iterdir()
    assert prefixed(read_bundle(kept.read_bytes()).receipt.receipt.job) == job


def test_no_receipt_is_kept_when_told_so(run: Run, tmp_path: Path) -> None:
    assert run(*QUESTION, "--no-keep").exit_code == 0
    assert not list((tmp_path / "kept").iterdir())


def test_pending_bundle_is_saved_at_once(run: Run, transport: HostedTransport, tmp_path: Path) -> None:
    result = run(*QUESTION, "--save", "a.tally", "--anchor-wait", "0", "--json")
    answer = last_object(result)

    assert result.exit_code == 0
    assert (answer["saved"], answer["anchored"], answer["evidence"]) == ("a.tally", False, "signed")
    assert "promised by 2026-01-01 00:10:00 UTC" in result.stderr.replace("\n", " ")
    assert "tallynet audit verify a.tally" in result.stderr.replace("\n", " ")
    assert read_bundle((tmp_path / "a.tally").read_bytes()).inclusion is None


def test_bundle_is_saved_again_with_its_anchor(run: Run, transport: HostedTransport, tmp_path: Path) -> None:
    node = transport.nodes[0]
    serve = node.serve_job

    async def serve_and_anchor(stream: Any) -> None:
        await serve(stream)
        await node.anchor(transport.ledger)

    node.serve_job = serve_and_anchor  # type: ignore[method-assign]
    result = run(*QUESTION, "--save", "a.tally", "--json")
    answer = last_object(result)
    bundle = read_bundle((tmp_path / "a.tally").read_bytes())

    assert result.exit_code == 0
    assert (answer["saved"], answer["anchored"], answer["evidence"]) == ("a.tally", True, "anchored")
    assert all(check.state is State.OK for check in verify_bundle(bundle, transport.ledger.domain))


def test_wait_for_the_anchor_is_bounded(run: Run, tmp_path: Path) -> None:
    result = run(*QUESTION, "--save", "a.tally", "--anchor-wait", "0.3", "--json")

    assert result.exit_code == 0
    assert last_object(result)["anchored"] is False
    assert (tmp_path / "a.tally").exists()


def test_ctrl_c_cancels_the_job_and_exits_130(run: Run, transport: HostedTransport) -> None:
    transport.nodes[0].pause = 0.3
    thread: threading.Thread = interrupt_once(lambda: bool(transport.nodes[0].runs))
    result = run(*QUESTION, "--json")
    thread.join()

    assert result.exit_code == 130
    assert last_object(result)["error"]["code"] == "interrupted"
    assert "cut short: cancelled" in " ".join(result.stderr.split())
    assert cancelled(transport.nodes[0])


def test_terminal_is_not_steered_by_an_answer() -> None:
    assert plain("a\x1b[2Jb\x07c\u202ed\te\nf") == "a\ufffd[2Jb\ufffdc\ufffdd\te\nf"


@pytest.mark.parametrize(
    ("wei", "said"),
    [(0, "0 wei"), (25, "25 wei"), (1_500_000, "0.0015 gwei"), (2_000_000_000, "2 gwei"), (10**18, "1 ether")],
)
def test_money_is_said_briefly(wei: int, said: str) -> None:
    assert money(Wei(wei)) == said


@pytest.mark.parametrize("name", ["models", "nodes", "ask"])
def test_help_has_an_example_that_is_a_command(run: Run, name: str) -> None:
    result = run(name, "--help")
    text = " ".join(result.stdout.split())

    assert result.exit_code == 0
    assert f"Example: tallynet {name}" in text
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_network_file_is_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    missing = CliRunner().invoke(app, ["models", "--network", str(tmp_path / "none.json"), "--json"])
    write_network(tmp_path / "network.json", HostedTransport({}).network)

    assert missing.exit_code == 2
    assert last_object(missing)["error"]["code"] == "misconfigured"
    with commands.open_client(tmp_path / "network.json") as client:
        assert client.network == client.network


async def test_commands_work_inside_a_loop(run: Run) -> None:
    """As from a notebook: the command blocks, and ends."""
    result = await trio.to_thread.run_sync(lambda: run("models", "--json"))

    assert result.exit_code == 0
