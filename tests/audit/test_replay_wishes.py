"""A run whose request has a schema or biases: an honest one passes, one that did as it liked fails by name."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tallynet.audit.replay import Bench, Terms
from tallynet.audit.thresholds import read_thresholds
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import Engine, Generation, open_engine
from tallynet.engine.checkpoint import Checkpoint
from tallynet.engine.grammar import Guide
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.model import TransformersEngine
from tallynet.engine.ticket import Ticket
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.errors import InvalidJob, Refused

SCHEMA = {
    "type": "object",
    "properties": {"capital": {"type": "string", "maxLength": 16}},
    "required": ["capital"],
    "additionalProperties": False,
}
QUESTION = "What is the capital of Japan?"


class Careless(TransformersEngine):
    """Passes over what the request wishes."""

    def _ticket(self, generation: Generation, guide: Guide | None, number: int | None) -> Ticket:
        return super()._ticket(replace(generation, logit_bias=()), None, number)


def careless() -> Engine:
    return Careless(Checkpoint("tally-tiny", DEFAULT_MODEL), choose_hardware("cpu", "float32"), slots=2)


async def ask(folder: Path, engine: Any, **options: Any) -> Bundle:
    async with open_devnet(folder, engine=engine) as devnet, devnet.client() as client:
        return (await client.ask("tally-tiny", QUESTION, max_tokens=60, **options)).bundle()


def told_of(bundle: Bundle) -> tuple[str, str, list[int]]:
    judgement = Bench(DEFAULT_MODEL, read_thresholds(), Terms(device="cpu")).replay(bundle, lambda said: None).judgement
    return str(judgement.verdict), judgement.reason, [check.number for check in judgement.checks]


honest = partial(open_engine, str(DEFAULT_MODEL), slots=2)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_honest_answer_to_a_schema_passes(tmp_path: Path, temperature: float) -> None:
    bundle = await ask(tmp_path, honest, schema=SCHEMA, temperature=temperature)
    verdict, reason, numbers = told_of(bundle)

    assert verdict == "pass", reason
    assert numbers == list(range(1, 11))


async def test_answer_that_passes_over_the_schema_fails_by_name(tmp_path: Path) -> None:
    verdict, reason, _ = told_of(await ask(tmp_path, careless, schema=SCHEMA))

    assert verdict == "fail"
    assert reason == "(10) token 0 is none that the schema lets come next"


async def test_biases_are_part_of_what_is_made_again(tmp_path: Path) -> None:
    biased = await ask(tmp_path / "honest", honest, logit_bias={500: 100}, temperature=1.0)
    passed_over = await ask(tmp_path / "careless", careless, logit_bias={500: 100}, temperature=1.0)

    assert told_of(biased)[0] == "pass"
    assert told_of(passed_over)[0] == "fail"


async def test_schema_that_no_node_can_keep_to_is_refused(tmp_path: Path) -> None:
    async with open_devnet(tmp_path, engine=honest) as devnet, devnet.client() as client:
        with pytest.raises(Refused, match="Unimplemented keys"):
            await client.ask("tally-tiny", QUESTION, schema={"not": {}})
        with pytest.raises(InvalidJob, match="schema cannot be read"):
            await client.ask("tally-tiny", QUESTION, schema="[")
        with pytest.raises(InvalidJob, match="no number"):
            await client.ask("tally-tiny", QUESTION, logit_bias={1: float("nan")})
