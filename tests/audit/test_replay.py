"""`tallynet audit replay` on real runs of the model that comes with the package."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from typer.testing import CliRunner

from tallynet.audit.commands import audit_app
from tallynet.audit.replay import Bench, Terms, claim_of
from tallynet.audit.thresholds import read_thresholds
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole, open_part
from tallynet.protocol.errors import Misconfigured


async def ask(folder: Path, **settings: Any) -> Bundle:
    """One real run over a devnet in memory."""
    async with (
        open_devnet(folder, engine=partial(open_engine, str(DEFAULT_MODEL))) as devnet,
        devnet.client() as client,
    ):
        answer = await client.ask("tally-tiny", "Tell me a story about a fox.", **settings)
        return answer.bundle()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return trio.run(partial(ask, temperature=1.0, max_tokens=64), tmp_path_factory.mktemp("devnet"))


def replayed(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(
        audit_app, ["replay", str(path), "--model", str(DEFAULT_MODEL), "--device", "cpu", "--json", *options]
    )
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])


def saved(bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "answer.tally"
    path.write_text(write_bundle(bundle))
    return path


def test_real_run_passes_bit_by_bit(bundle: Bundle, tmp_path: Path) -> None:
    code, told = replayed(saved(bundle, tmp_path))

    assert (code, told["verdict"]) == (0, "pass"), told
    assert [check["number"] for check in told["checks"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert told["same_environment"] and told["dtype"] == "float32"
    assert told["not_checked"] == []


def test_it_says_what_it_did_not_check(bundle: Bundle, tmp_path: Path) -> None:
    code, told = replayed(saved(bundle, tmp_path), "--no-exact")

    assert code == 0
    assert any("bit by bit" in said for said in told["not_checked"])


def test_people_read_the_verdict(bundle: Bundle, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        audit_app, ["replay", str(saved(bundle, tmp_path)), "--model", str(DEFAULT_MODEL), "--device", "cpu"]
    )

    assert "PASS 64 tokens follow from the model, the seed and the parameters." in result.stdout.replace("\n", " ")


def test_altered_file_is_refused_before_anything_is_loaded(bundle: Bundle, tmp_path: Path) -> None:
    path = saved(bundle, tmp_path)
    path.write_text(path.read_text().replace("chunk ", "chunk A", 1))

    code, told = replayed(path)
    assert code == 1 and told["error"]["code"] == "invalid-bundle"


def test_other_model_is_refused(bundle: Bundle, tmp_path: Path, other_model: Path) -> None:
    result = CliRunner().invoke(audit_app, ["replay", str(saved(bundle, tmp_path)), "--model", str(other_model)])

    assert result.exit_code == 2
    assert "The run is of model" in result.output


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    """The same files but for one setting."""
    folder = tmp_path / "other"
    folder.mkdir()
    for file in DEFAULT_MODEL.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "rms_norm_eps": 1e-5}))
    return folder


def test_run_that_is_not_open_cannot_be_replayed(bundle: Bundle, tmp_path: Path) -> None:
    closed = replace(bundle, opening=open_part(bundle.opening, [0]))

    code, told = replayed(saved(closed, tmp_path))
    assert code == 2 and "does not open the whole run" in told["error"]["message"]


def test_no_model_is_a_question_of_usage(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        Bench(tmp_path, read_thresholds(), Terms())
    assert CliRunner().invoke(audit_app, ["replay", "x.tally", "--model", str(tmp_path)]).exit_code == 2


def test_claim_is_what_was_streamed(bundle: Bundle) -> None:
    claim = claim_of(bundle)

    assert isinstance(bundle.opening, Whole)
    assert claim.prompt == bundle.opening.prompt
    assert len(claim.tokens) == len(claim.logprobs) == 64
    assert len(claim.records) == 4
