"""Translations, vectors and answers of other servers as jobs: receipts that verify, and what can be run again."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tallynet.audit.embedding_replay import EmbeddingReplayer
from tallynet.audit.judgement import Verdict
from tallynet.client.answer import save_bundle
from tallynet.client.client import AsyncClient
from tallynet.devnet.command import app
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.engine import open_engine
from tallynet.engine.embedder import Embedder
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.philox import noise_key
from tallynet.engine.sampler import Draw, sample
from tallynet.engine.seq2seq import replay_logits
from tallynet.engine.weights import load_weights
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.commitment import seed
from tallynet.protocol.errors import InvalidJob, Refused
from tallynet.protocol.job import Sampling, Task
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Request
from tests.engine.embedders import DIMENSIONS, make_embedder
from tests.engine.openai_server import MODEL, Handler, OpenAIServer
from tests.engine.translators import TRANSLATORS, make_translator

ANCHOR_SECONDS = 20.0


@asynccontextmanager
async def serving(spec: str | Path, folder: Path) -> AsyncIterator[tuple[Devnet, AsyncClient]]:
    """A devnet with one node that serves the model, and a client of it."""
    async with open_devnet(folder, engine=lambda: open_engine(str(spec))) as devnet, devnet.client() as client:
        yield devnet, client


def replay(bundle: Path, model: Path) -> dict[str, Any]:
    """What `tallynet audit replay` says."""
    command = ["audit", "replay", str(bundle), "--model", str(model), "--device", "cpu", "--json"]
    told: dict[str, Any] = json.loads(CliRunner().invoke(app, command).stdout.splitlines()[-1])
    return told


def verify_offline(bundle: Path) -> dict[str, object]:
    """What `tallynet audit verify --offline` says."""
    result = CliRunner().invoke(app, ["audit", "verify", str(bundle), "--offline", "--json"])
    assert result.exit_code == 0, result.output
    told: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("family", TRANSLATORS)
async def test_a_translation_is_a_job_whose_receipt_verifies_and_replays(family: str, tmp_path: Path) -> None:
    directory = make_translator(family, tmp_path / family)
    async with serving(directory, tmp_path / "net") as (devnet, client):
        answer = await client.ask(family, Request(text="the house is small"), temperature=0.9, max_tokens=40)
        bundle = await client.wait_for_anchor(answer.bundle(), ANCHOR_SECONDS)
        save_bundle(bundle, tmp_path / "a.tally")

    assert answer.tokens and answer.status in (Status.EOS, Status.LENGTH)
    assert all(result.state is State.OK for result in verify_bundle(bundle, devnet.ledger.domain))
    assert verify_offline(tmp_path / "a.tally")["verdict"] == "ok"
    replayed = replay(tmp_path / "a.tally", directory)
    assert replayed["verdict"] == "pass", replayed
    assert {check["name"] for check in replayed["checks"]} >= {"prompt", "ending", "sketch"}, replayed

    model = load_weights(directory, choose_hardware("cpu", "float32"))
    key, sampling = noise_key(seed(answer.job)), Sampling(40, 900_000)
    logits = replay_logits(model, answer.prompt, answer.tokens)
    chosen = [sample(row, Draw(sampling, key, position)) for position, row in enumerate(logits)]
    assert tuple(choice.token for choice in chosen) == answer.tokens


async def test_a_vector_is_a_job_whose_receipt_verifies_and_replays(tmp_path: Path) -> None:
    directory = make_embedder("bert", tmp_path / "bert", "mean_tokens")
    async with serving(directory, tmp_path / "net") as (devnet, client):
        first, second = await client.embed("bert", ["a text", "another text"])
        bundle = await client.wait_for_anchor(first.answer.bundle(), ANCHOR_SECONDS)
        save_bundle(bundle, tmp_path / "a.tally")

    assert len(first.vector) == DIMENSIONS
    assert first.answer.usage.completion_tokens == 0
    assert first.answer.status is Status.EOS
    assert all(result.state is State.OK for result in verify_bundle(bundle, devnet.ledger.domain))
    assert verify_offline(tmp_path / "a.tally")["verdict"] == "ok"
    assert replay(tmp_path / "a.tally", directory)["verdict"] == "pass"
    other = make_embedder("bert", tmp_path / "other" / "bert", "cls_token")
    assert replay(tmp_path / "a.tally", other)["error"]["code"] == "misconfigured"

    opening = bundle.opening
    assert isinstance(opening, Whole)
    swapped = replace(bundle, opening=replace(opening, chunks=second.answer.chunks))
    judgement = EmbeddingReplayer(directory, choose_hardware("cpu", "float32")).replay(swapped, "float32")
    assert (judgement.verdict, judgement.reason[:3]) == (Verdict.FAIL, "(2)")

    judge = Embedder(directory, choose_hardware("cpu", "float32"))
    assert judge.replay(first.answer.prompt, first.vector, "float32").holds
    assert not judge.replay(first.answer.prompt, second.vector, "float32").holds


async def test_an_advert_tells_the_task_and_clients_heed_it(tmp_path: Path) -> None:
    directory = make_embedder("bert", tmp_path / "bert")
    async with serving(directory, tmp_path / "net") as (_, client):
        (advert,) = await client.nodes()
        with pytest.raises(InvalidJob, match="makes vectors"):
            await client.ask("bert", "Hello")

    (offer,) = advert.advert.offers
    assert (offer.task, offer.evidence) == (Task.EMBED, "replayable")


async def test_an_answer_of_another_server_is_a_job_whose_receipt_verifies(tmp_path: Path) -> None:
    with OpenAIServer(length=40).run() as server:
        async with serving(server.spec, tmp_path / "net") as (devnet, client):
            (model,) = await client.models()
            (advert,) = await client.nodes()
            answer = await client.ask(MODEL, "Count.", max_tokens=100)
            with pytest.raises(Refused, match=r"\(6\).*top_k"):
                await client.ask(MODEL, "Count.", top_k=40)
            bundle = await client.wait_for_anchor(answer.bundle(), ANCHOR_SECONDS)
            save_bundle(bundle, tmp_path / "a.tally")

    assert (model.evidence, advert.advert.offers[0].evidence) == ("signature-only", "signature-only")
    assert (answer.usage.completion_tokens, answer.status) == (40, Status.EOS)
    assert answer.logprobs == (0.0,) * 40
    assert all(result.state is State.OK for result in verify_bundle(bundle, devnet.ledger.domain))
    assert verify_offline(tmp_path / "a.tally")["verdict"] == "ok"


async def test_a_server_that_dies_in_mid_answer_leaves_a_receipt_of_the_part(tmp_path: Path) -> None:
    def dies(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        for event in list(handler.events(body))[:8]:
            handler.say(event)

    with OpenAIServer(length=40).run() as server:
        async with serving(server.spec, tmp_path / "net") as (_, client):
            server.misbehave = dies
            answer = await client.ask(MODEL, "Count.", max_tokens=100)

    assert answer.status is Status.FAILED
    assert 0 < answer.usage.completion_tokens < 40
