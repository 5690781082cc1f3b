"""`tallynet score`: numbers, colours, a page, JSON; and what is refused before anything is paid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tallynet.client import commands, score_commands
from tallynet.client.surprise import answer_map
from tallynet.devnet.command import app
from tests.client.hosted import HostedTransport
from tests.client.test_commands import last_object
from tests.client.test_score import cheaply
from tests.client.world import World
from tests.protocol.vectors_of_scores import FIRST, chunk

TEXT = "In é Tokyo."


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    transport = HostedTransport({"pieces": (FIRST, chunk()), "change_leaf": cheaply})
    monkeypatch.setattr(score_commands, "open_client", lambda _, keep=True: transport.client())
    return lambda *arguments, **given: CliRunner().invoke(
        app, ["score", "tally-tiny", *arguments], env={"COLUMNS": "80", "TERM": "dumb"}, **given
    )


def test_people_see_what_surprised_the_model(run: Callable[..., Any]) -> None:
    result = run(TEXT, "--top", "2")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "log-probability -3.625 · perplexity 2.47" in result.stdout
    assert "'é'" in lines[1] and "' Kyōto'" in lines[1], "the least likely comes first"
    assert max(map(len, lines)) <= 80


def test_programs_get_every_token(run: Callable[..., Any]) -> None:
    told = last_object(run(TEXT, "--top", "2", "--json"))

    assert (told["log_probability"], told["greedy"], told["context"]) == (-3.625, False, "In ")
    assert [(one["text"], one["offset"]) for one in told["scores"]] == [("", 3), ("é", 3), (" Tokyo", 4), (".", 10)]
    assert told["scores"][2]["likeliest"][0] == {"token": 9, "text": " Kyōto", "logprob": -0.5}
    assert told["finish"] and "text" not in told


def test_the_whole_text_coloured(run: Callable[..., Any]) -> None:
    shown = run(TEXT, "--top", "2", "--heat").stdout

    assert "In é Tokyo." in shown
    assert "CHANCE" not in shown


def test_a_text_from_a_file_becomes_a_page_and_a_proof(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    given = ("--file", "text.txt", "--html", "a.html", "--save", "a")
    result = run("--top", "2", *(one if one.startswith("-") else str(tmp_path / one) for one in given))

    assert result.exit_code == 0, result.output
    assert "How likely tally-tiny finds this text" in (tmp_path / "a.html").read_text()
    assert (tmp_path / "a").read_text().startswith("tallynet-bundle")


def test_a_text_from_stdin(run: Callable[..., Any]) -> None:
    assert last_object(run("-", "--top", "2", "--json", input=TEXT))["context"] == "In "


@pytest.mark.parametrize(
    "arguments",
    [(), (TEXT, "--file", "x"), ("",), ("--file", "missing"), (TEXT, "--html", "missing/x"), (TEXT, "--top", "6")],
    ids=["no text", "two texts", "empty text", "no such file", "no such folder", "too many likely tokens"],
)  # fmt: skip
def test_wrong_usage_costs_nothing(run: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_file_that_is_no_text(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")

    assert run("--file", str(tmp_path / "bytes")).exit_code == 2


def test_an_answer_coloured_where_the_model_was_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = HostedTransport({})
    monkeypatch.setattr(commands, "open_client", lambda _, keep=True: transport.client())
    command = ["ask", "tally-tiny", "What is the capital of Japan?", "--logprobs"]
    shown = CliRunner().invoke(app, command, env={"COLUMNS": "80", "TERM": "dumb"})

    assert shown.exit_code == 0, shown.output
    assert "The capital of Japan is Tokyo." in shown.stdout
    assert last_object(CliRunner().invoke(app, [*command, "--json"]))["logprobs"] == [-0.5, -0.25, -1.0, -0.125, -2.0]


async def test_pieces_of_an_answer_are_as_warm_as_their_tokens_were_unlikely(world: World) -> None:
    await world.node()
    async with world.client() as client:
        heat_map = answer_map(await client.ask("tally-tiny", "What is the capital of Japan?"))

    assert [piece.text for piece in heat_map.pieces] == ["The capital", " of Japan", " is Tokyo."]
    assert [piece.heat for piece in heat_map.pieces] == [0.0, 0.0, pytest.approx(0.2)]
    assert heat_map.pieces[1].note == "2 tokens: 78 %, 37 %"
