"""`tallynet audit attribute` on a real run of the model that comes with the package."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from typer.testing import CliRunner

from tallynet.audit.commands import audit_app
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import open_part

QUESTION = "What is the capital of France?"


async def run_both(folder: Path) -> tuple[Bundle, Bundle]:
    """An answer and a score."""
    async with (
        open_devnet(folder, engine=partial(open_engine, str(DEFAULT_MODEL))) as devnet,
        devnet.client() as client,
    ):
        answer = await client.ask("tally-tiny", QUESTION)
        score = await client.score("tally-tiny", QUESTION)
        return answer.bundle(), score.answer.bundle()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    return trio.run(run_both, tmp_path_factory.mktemp("devnet"))


def attributed(bundle: Bundle, folder: Path, *options: str, model: Path = DEFAULT_MODEL) -> Any:
    path = folder / "a.tally"
    path.write_text(write_bundle(bundle))
    command = ["attribute", str(path), "--model", str(model), "--device", "cpu", *options]
    return CliRunner().invoke(audit_app, command, env={"COLUMNS": "80", "TERM": "dumb"})


def told(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_programs_get_a_weight_for_every_prompt_token(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    found = told(attributed(bundles[0], tmp_path, "--json"))
    words = [token for token in found["tokens"] if not token["text"].startswith("<")]

    assert (found["method"], found["answer"]) == ("leave-out", "The capital of France is Paris.")
    assert "".join(token["text"] for token in words) == QUESTION
    assert max(words, key=lambda token: token["weight"])["text"] in (" F", "rance")
    assert found["log_probability"] > found["without_prompt"] + 10
    assert "do not say that the answer is true" in found["caution"]


def test_integrated_weights_add_up(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    found = told(attributed(bundles[0], tmp_path, "--method", "integrated", "--steps", "16", "--token", "6", "--json"))

    assert sum(token["weight"] for token in found["tokens"]) - found["gap"] == pytest.approx(
        found["log_probability"] - found["without_prompt"]
    )
    assert found["answer"].strip() == "P"


def test_the_end_of_the_answer_alone(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    """Without "The capital of", which any country's answer begins with."""
    found = told(attributed(bundles[0], tmp_path, "--since", "3", "--json"))
    weights = {token["text"]: token["weight"] for token in found["tokens"]}

    assert found["answer"].strip() == "France is Paris."
    assert max(weights[" F"], weights["rance"]) > 2 * weights[" capital"]


def test_people_see_colours_a_ranking_and_what_it_is_not(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    result = attributed(bundles[0], tmp_path, "--html", str(tmp_path / "why.html"))

    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "nats F" in said and "do not say that the answer is true" in said
    assert max(map(len, result.stdout.splitlines())) <= 80
    page = (tmp_path / "why.html").read_text()
    assert "What in the question made this answer likely" in page and 'title="+' in page


@pytest.mark.parametrize(
    "options",
    [("--method", "guess"), ("--token", "99"), ("--since", "10"), ("--steps", "0"), ("--model", "/")],
    ids=" ".join,
)
def test_wrong_usage(bundles: tuple[Bundle, Bundle], tmp_path: Path, options: tuple[str, ...]) -> None:
    assert attributed(bundles[0], tmp_path, *options).exit_code == 2


def test_only_an_open_answer_can_be_attributed(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    closed = replace(bundles[0], opening=open_part(bundles[0].opening, [0]))

    assert "does not open the whole run" in attributed(closed, tmp_path).output
    assert "Only a generated answer" in attributed(bundles[1], tmp_path).output
