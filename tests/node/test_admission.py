"""(2) What a node takes: checks (1) to (8) of spec chapter 2, each broken alone."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tallynet.engine import FakeEngine
from tallynet.engine.fake import encode
from tallynet.node.admission import Admission, Admitted
from tallynet.node.engines import Engines
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Busy, InvalidJob, Unreachable
from tallynet.protocol.job import Sampling, Task
from tallynet.protocol.request import Message, Request
from tallynet.protocol.score import SCORE_SAMPLING
from tallynet.protocol.units import Digest, Milliseconds, TokenIds
from tallynet.protocol.wire import Submit
from tests.node.examples import DOMAIN, SECRET, START, STRANGER, valid_config, valid_offer, valid_submit

Admit = Callable[..., Any]


class OtherEngine(FakeEngine):
    """The fake, but for some of what it says about itself."""

    def __init__(self, changes: dict[str, Any]) -> None:
        super().__init__(context_length=64)
        self._info = dataclasses.replace(self._info, **changes)


@pytest.fixture
def admit(tmp_path: Path) -> Admit:
    """All checks in order, as the desk makes them."""

    async def check(
        submit: Submit,
        taken: int = 0,
        price: int = 0,
        prompt_price: int = 0,
        now: Milliseconds = START,
        **engine: Any,
    ) -> Admitted:
        config = valid_config(tmp_path, max_tokens=100, queue=2)
        admission = Admission(config, DOMAIN, Engines.of(config, OtherEngine(engine)))
        job = admission.identify(submit, now)
        served, offer = admission.choose(job), valid_offer(prompt_price=prompt_price, completion_price=price)
        return await admission.admit(submit, job, served, offer, taken)

    return check


def say(text: str) -> Request:
    return Request(messages=(Message("user", text),))


TEXT = Request(text="Tokyo is the capital.", top=2)


def scoring(request: Request = TEXT, **changes: Any) -> Submit:
    return valid_submit(request=request, **{"task": Task.SCORE, "sampling": SCORE_SAMPLING, **changes})


async def test_valid(admit: Admit) -> None:
    submit = valid_submit()

    admitted = await admit(submit)

    assert admitted.job.job == submit.signed.job
    assert admitted.secret == SECRET
    assert 1 <= len(admitted.prompt) < 64


async def refusal(admit: Admit, submit: Submit, **situation: Any) -> InvalidJob:
    with pytest.raises(InvalidJob) as caught:
        await admit(submit, **situation)
    return caught.value


async def test_1_signed_by_somebody_else(admit: Admit) -> None:
    submit = valid_submit()
    forged = valid_submit(key=STRANGER).signed.signature

    error = await refusal(admit, replace(submit, signed=replace(submit.signed, signature=forged)))

    assert error.check == 1


@pytest.mark.parametrize("change", [{"chain_id": 1}, {"contract": STRANGER.address}])
async def test_1_signed_for_another_chain_or_contract(admit: Admit, change: dict[str, Any]) -> None:
    elsewhere = Domain(**{"chain_id": DOMAIN.chain_id, "contract": DOMAIN.contract, **change})

    assert (await refusal(admit, valid_submit(domain=elsewhere))).check == 1


async def test_1_changed_after_signing(admit: Admit) -> None:
    submit = valid_submit()
    dearer = replace(submit.signed.job, max_price=submit.signed.job.max_price + 1)

    assert (await refusal(admit, replace(submit, signed=replace(submit.signed, job=dearer)))).check == 1


@pytest.mark.parametrize("ahead", [-1, 0, 3_600_001, 2**53 - 1 - START])
async def test_2_deadline_over_or_too_far(admit: Admit, ahead: int) -> None:
    error = await refusal(admit, valid_submit(deadline=START + ahead))

    assert error.check == 2
    assert str(START + ahead) in str(error)


@pytest.mark.parametrize("ahead", [1, 3_600_000])
async def test_2_deadline_just_within(admit: Admit, ahead: int) -> None:
    await admit(valid_submit(deadline=START + ahead))


@pytest.mark.parametrize("change", [{"task": 4}, {"task": 0}, {"model": Digest(bytes(32))}])
async def test_3_unknown_task_or_model(admit: Admit, change: dict[str, Any]) -> None:
    assert (await refusal(admit, valid_submit(**change))).check == 3


async def test_3_generating_with_an_embedding_model(admit: Admit) -> None:
    error = await refusal(admit, valid_submit(), task=Task.EMBED)

    assert error.check == 3
    assert "task 1" in str(error) and "does task 2" in str(error)


async def test_3_embedding_with_a_generating_model(admit: Admit) -> None:
    error = await refusal(admit, valid_submit(task=Task.EMBED, sampling=Sampling(max_tokens=1)))

    assert error.check == 3


async def test_3_scoring_with_a_model_that_cannot(admit: Admit) -> None:
    assert (await refusal(admit, scoring(), scores=False)).check == 3


async def test_a_text_to_be_scored_is_parted_after_its_first_token(admit: Admit) -> None:
    admitted = await admit(scoring())

    assert admitted.prompt + admitted.scored == encode("Tokyo is the capital.")
    assert (len(admitted.prompt), admitted.top) == (1, 2)


async def test_token_ids_are_scored_as_they_are(admit: Admit) -> None:
    admitted = await admit(scoring(Request(tokens=(65, 66, 67))))

    assert (admitted.prompt, admitted.scored, admitted.top) == ((65,), (66, 67), 0)


async def test_a_score_costs_what_its_tokens_cost_as_a_prompt(admit: Admit) -> None:
    tokens = len(encode("Tokyo is the capital."))

    await admit(scoring(max_price=2 * tokens), prompt_price=2, price=1000)
    error = await refusal(admit, scoring(max_price=2 * tokens - 1), prompt_price=2, price=1000)
    assert error.check == 7


@pytest.mark.parametrize("part", ["request", "secret"])
async def test_4_another_request_or_secret(admit: Admit, part: str) -> None:
    error = await refusal(admit, replace(valid_submit(), **{part: bytes(32)}))

    assert error.check == 4
    assert "commits to" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xa4text\xa2\xff\xfe",
        b"\x80",
        b"\x82\xa4text\xa1a\xa4more\xc0",
        b"\x81\xa4text\xd9\x01a",
        b"not msgpack",
    ],
    ids=["invalid-utf-8", "empty", "unknown-field", "not-canonical", "noise"],
)
async def test_4_request_that_cannot_be_read(admit: Admit, data: bytes) -> None:
    submit = valid_submit(request=data)

    error = await refusal(admit, submit)

    assert error.check == 4
    assert "commits to" not in str(error)


async def test_5_prompt_longer_than_the_context(admit: Admit) -> None:
    error = await refusal(admit, valid_submit(request=say("Tokyo " * 64)))

    assert error.check == 5
    assert "64" in str(error)


@pytest.mark.parametrize(
    "submit",
    [
        valid_submit(request=Request(text="Tokyo", top=1)),
        valid_submit(request=say("Tokyo"), task=Task.SCORE, sampling=SCORE_SAMPLING),
    ],
    ids=["likely-tokens-of-an-answer", "a-dialogue-to-be-scored"],
)
async def test_5_a_request_of_another_kind_than_the_task(admit: Admit, submit: Submit) -> None:
    assert (await refusal(admit, submit)).check == 5


async def test_an_engine_that_is_gone_defers(tmp_path: Path) -> None:
    class GoneEngine(FakeEngine):
        async def tokenize(self, request: Request) -> TokenIds:
            raise Unreachable("the server behind this model does not answer in time")

    config, submit = valid_config(tmp_path), valid_submit()
    admission = Admission(config, DOMAIN, Engines.of(config, GoneEngine()))
    job = admission.identify(submit, START)

    with pytest.raises(Busy, match="does not answer") as caught:
        await admission.admit(submit, job, admission.choose(job), valid_offer(), 0)
    assert caught.value.retry_after_ms > 0


@pytest.mark.parametrize("tokens", [101, 8192])
async def test_6_more_tokens_than_this_node_answers(admit: Admit, tokens: int) -> None:
    assert (await refusal(admit, valid_submit(sampling=Sampling(max_tokens=tokens)))).check == 6


async def test_6_as_many_tokens_as_this_node_answers(admit: Admit) -> None:
    await admit(valid_submit(sampling=Sampling(max_tokens=100)))


@pytest.mark.parametrize(
    "sampling",
    [Sampling(2), Sampling(1, top_k=3), Sampling(1, temperature_millionths=1), Sampling(1, stop=("a",))],
)
async def test_6_an_embedding_that_samples(admit: Admit, sampling: Sampling) -> None:
    assert (await refusal(admit, valid_submit(task=Task.EMBED, sampling=sampling), task=Task.EMBED)).check == 6


@pytest.mark.parametrize("sampling", [Sampling(20), Sampling(8192, top_k=3)])
async def test_6_a_score_that_samples(admit: Admit, sampling: Sampling) -> None:
    assert (await refusal(admit, scoring(sampling=sampling))).check == 6


@pytest.mark.parametrize("request_", [Request(text="T"), Request(tokens=(65,))])
async def test_6_a_text_of_one_token_has_nothing_to_score(admit: Admit, request_: Request) -> None:
    assert (await refusal(admit, scoring(request_))).check == 6


async def test_6_an_embedding_that_samples_nothing(admit: Admit) -> None:
    await admit(valid_submit(task=Task.EMBED, sampling=Sampling(1)), task=Task.EMBED)


async def test_6_a_parameter_that_the_engine_cannot_follow(admit: Admit) -> None:
    error = await refusal(admit, valid_submit(sampling=Sampling(20, top_k=40)), unheeded=("top_k",))

    assert error.check == 6
    assert "top_k is 40" in str(error)


async def test_6_the_default_of_a_parameter_that_the_engine_cannot_follow(admit: Admit) -> None:
    await admit(valid_submit(sampling=Sampling(20, temperature_millionths=500_000)), unheeded=("top_k",))


async def test_7_dearer_than_the_ceiling(admit: Admit) -> None:
    error = await refusal(admit, valid_submit(max_price=20 * 7 - 1), price=7)

    assert error.check == 7
    assert "140 wei" in str(error) and "139 wei" in str(error)


async def test_7_just_as_dear_as_the_ceiling(admit: Admit) -> None:
    await admit(valid_submit(max_price=20 * 7), price=7)


async def test_8_no_room_in_the_queue(admit: Admit) -> None:
    with pytest.raises(Busy, match=r"^\(8\) 6 jobs of this model run or wait here, there is room for 6") as caught:
        await admit(valid_submit(), taken=6)

    assert 250 <= caught.value.retry_after_ms <= 60_000


async def test_8_the_last_place_in_the_queue(admit: Admit) -> None:
    await admit(valid_submit(), taken=5)


async def test_the_first_broken_rule_is_named(admit: Admit) -> None:
    everything_wrong = valid_submit(model=Digest(bytes(32)), request=say("Tokyo " * 64), max_price=0)

    assert (await refusal(admit, everything_wrong, price=7, taken=99)).check == 3
