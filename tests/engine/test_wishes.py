"""Answers with a schema and with biases: the engine keeps to them, and the replay knows who did not."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import Engine, FakeEngine, Finish, Generation, open_engine
from tallynet.engine.engine import BIAS, SCHEMA
from tallynet.engine.evidence import read_records
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.observation import Claim
from tallynet.engine.replay import Replayer
from tallynet.engine.rules import ruled, rules_of
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.request import Bias, Message, Request
from tests.engine.generations import Read, read, seed

SLACK = 0.25
QUESTION = (Message("user", "What is the capital of Japan?"),)
SCHEMA_TEXT = json.dumps(
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "large": {"type": "boolean"}},
        "required": ["city", "large"],
        "additionalProperties": False,
    }
)
SAMPLINGS = (Sampling(80), Sampling(80, MILLION), Sampling(80, MILLION, top_k=5), Sampling(80, MILLION, 0, 800_000))


@cache
def model() -> Engine:
    return open_engine(str(DEFAULT_MODEL), slots=4)


@cache
def replayer() -> Replayer:
    return Replayer(DEFAULT_MODEL, choose_hardware("cpu", "float32"))


@pytest.fixture
async def engine(nursery: trio.Nursery) -> AsyncIterator[Engine]:
    await nursery.start(model().run)
    yield model()
    nursery.cancel_scope.cancel()


async def ask(engine: Engine, sampling: Sampling, number: int = 1, **wishes: Any) -> tuple[Generation, Read]:
    prompt = await engine.tokenize(Request(messages=QUESTION, **wishes))
    generation = Generation(prompt, sampling, seed(number), **wishes)
    return generation, await read(engine, generation)


def claim_of(asked: Generation, answer: Read) -> Claim:
    return Claim(
        asked.prompt, asked.sampling, asked.seed, tuple(answer.tokens), tuple(answer.logprobs),
        read_records(answer.evidence), asked.schema, asked.logit_bias,
    )  # fmt: skip


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
async def test_answer_keeps_to_the_schema_and_replays(engine: Engine, sampling: Sampling) -> None:
    asked, answer = await ask(engine, sampling, schema=SCHEMA_TEXT)
    seen = replayer().observe(claim_of(asked, answer), slack=SLACK)

    assert answer.finish is Finish.EOS
    told = json.loads(answer.text)
    assert list(told) == ["city", "large"] and isinstance(told["large"], bool) and len(told["city"]) <= 12
    assert all(seen.matches) and not any(seen.margins) and not seen.outside and seen.barred is None
    assert seen.logprobs == pytest.approx(answer.logprobs, abs=1e-4)


async def test_who_passes_over_the_schema_is_found_at_the_first_token_that_it_forbids(engine: Engine) -> None:
    asked, answer = await ask(engine, SAMPLINGS[1])
    claim = claim_of(replace(asked, schema=SCHEMA_TEXT), answer)

    assert replayer().observe(claim, slack=SLACK).barred == 0
    begun = replace(claim, tokens=(replayer().encode(Request(text="{"))[-1], *claim.tokens))
    assert (replayer().observe(begun, slack=SLACK).barred or 0) > 0


async def test_answers_share_steps_with_others_that_have_no_schema(engine: Engine) -> None:
    answers: dict[int, Read] = {}

    async def ask_one(number: int) -> None:
        schema = {"schema": SCHEMA_TEXT} if number % 2 else {}
        _, answers[number] = await ask(engine, SAMPLINGS[1], number, **schema)

    async with trio.open_nursery() as asking:
        for number in range(8):
            asking.start_soon(ask_one, number)
    _, alone = await ask(engine, SAMPLINGS[1], 2)

    assert all(isinstance(json.loads(answers[number].text), dict) for number in range(1, 8, 2))
    assert answers[2].tokens == alone.tokens


async def test_answer_that_reaches_its_limit_breaks_off_in_its_json(engine: Engine) -> None:
    asked, answer = await ask(engine, Sampling(3), schema=SCHEMA_TEXT)

    assert answer.finish is Finish.LENGTH
    assert replayer().observe(claim_of(asked, answer), slack=SLACK).barred is None


async def test_bias_makes_a_token_certain_or_impossible_and_replays(engine: Engine) -> None:
    _, plain = await ask(engine, Sampling(8))
    loved, hated = 500, plain.tokens[0]
    asked, answer = await ask(engine, SAMPLINGS[1], logit_bias=(Bias(loved, 100 * MILLION),))
    _, other = await ask(engine, Sampling(8), logit_bias=(Bias(hated, -100 * MILLION),))
    seen = replayer().observe(claim_of(asked, answer), slack=SLACK)

    assert set(answer.tokens) == {loved}
    assert other.tokens[0] != hated
    assert all(seen.matches) and seen.logprobs == pytest.approx(answer.logprobs, abs=1e-4)
    assert not all(replayer().observe(replace(claim_of(asked, answer), logit_bias=()), slack=SLACK).matches)


async def test_engine_says_what_it_can_and_refuses_the_rest(engine: Engine, nursery: trio.Nursery) -> None:
    assert set(engine.info.wishes) == {SCHEMA, BIAS}
    fake = FakeEngine()
    await nursery.start(fake.run)
    wishes: list[tuple[Engine, int, dict[str, Any]]] = [
        (fake, 9, {"schema": "{}"}),
        (fake, 10, {"logit_bias": (Bias(1, 1),)}),
        (fake, 11, {"tools": "[{}]"}),
        (engine, 9, {"schema": '{"not": {}}'}),
        (engine, 10, {"logit_bias": (Bias(2048, 1),)}),
        (engine, 11, {"tools": "[{}]"}),
    ]
    for asked, check, wish in wishes:
        with pytest.raises(InvalidJob) as refused:
            await asked.tokenize(Request(messages=QUESTION, **wish))
        assert refused.value.check == check


def test_nothing_is_done_where_nothing_is_wished() -> None:
    logits = torch.zeros(2, 5)

    assert rules_of((), None) is None
    assert ruled(logits, [None, None]) is logits


names = st.sampled_from(["a", "b", "c d", "é", "\U0001f40c", '"', "\\"])
small = st.one_of(
    st.builds(lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more}, st.integers(0, 2),
              st.integers(0, 3)),
    st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(-99, 99),
              st.integers(0, 500)),
    st.just({"type": "boolean"}),
    st.builds(lambda values: {"enum": values}, st.lists(st.one_of(names, st.integers(-5, 5), st.none()), min_size=1,
                                                        max_size=3, unique_by=repr)),
)  # fmt: skip
schemas = st.recursive(
    small,
    lambda inner: st.one_of(
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 2)),
        st.builds(
            lambda members: {
                "type": "object", "properties": members, "required": sorted(members), "additionalProperties": False,
            },
            st.dictionaries(names, inner, max_size=3),
        ),
    ),
    max_leaves=4,
)  # fmt: skip


def check(value: Any, schema: Any) -> None:
    """The value satisfies the schema, as far as these tests make schemas."""
    if "enum" in schema:
        assert value in schema["enum"]
    elif schema["type"] == "object":
        assert set(value) == set(schema["properties"])
        for name, member in schema["properties"].items():
            check(value[name], member)
    elif schema["type"] == "array":
        assert isinstance(value, list) and len(value) <= schema["maxItems"]
        for item in value:
            check(item, schema["items"])
    elif schema["type"] == "string":
        assert schema["minLength"] <= len(value) <= schema["maxLength"]
    elif schema["type"] == "integer":
        assert schema["minimum"] <= value <= schema["maximum"]
    else:
        assert isinstance(value, bool)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=schemas, heat=st.sampled_from([0, MILLION, 5 * MILLION]))
def test_whatever_the_schema_the_answer_satisfies_it(schema: Any, heat: int) -> None:
    async def run() -> Read:
        async with trio.open_nursery() as nursery:
            await nursery.start(model().run)
            _, answer = await ask(model(), Sampling(512, heat), schema=json.dumps(schema))
            nursery.cancel_scope.cancel()
        return answer

    answer = trio.run(run)
    assert answer.finish is Finish.EOS
    check(json.loads(answer.text), schema)
