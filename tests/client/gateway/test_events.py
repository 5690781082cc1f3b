"""Server-sent events to the letter, and what is remembered of a request."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tallynet.engine import FakeEngine
from tallynet.engine.engine import Generation
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.errors import Unreachable
from tallynet.protocol.leaf import Leaf, Status
from tests.client.gateway.stage import MODEL, Stage, open_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, engine=partial(FakeEngine, end_every=1_000_000)) as stage:
        yield stage


async def until(holds: Callable[[], bool]) -> None:
    """A request is recorded after its answer was sent."""
    with trio.fail_after(30):
        while not holds():
            await trio.sleep(0.01)


def access_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith("access")]


async def events(stage: Stage, path: str = "/v1/chat/completions", **changes: Any) -> list[Any]:
    """The data of all events, the last a string if it is `[DONE]`."""
    body = {"model": MODEL, "temperature": 0, "max_tokens": 12, "stream": True, **changes}
    if path.endswith("chat/completions"):
        body.setdefault("messages", [{"role": "user", "content": "Japan?"}])
    answer = await stage.post(path, body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *parts, rest = answer.text.split("\n\n")
    assert rest == "" and all(part.startswith("data: ") and "\n" not in part for part in parts)
    told = [part.removeprefix("data: ") for part in parts]
    return [data if data == "[DONE]" else json.loads(data) for data in told]


async def test_role_then_text_then_reason_then_done(stage: Stage) -> None:
    first, *pieces, last, done = await events(stage)

    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]
    assert all(set(piece["choices"][0]["delta"]) == {"content"} for piece in pieces)
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "length")
    assert done == "[DONE]"
    assert {event["id"] for event in (first, *pieces, last)} == {f"chatcmpl-{last['tally']['job'][2:]}"}
    assert "tally" not in first and "usage" not in last


async def test_usage_comes_last_and_only_when_it_is_asked_for(stage: Stage) -> None:
    *others, last, _ = await events(stage, stream_options={"include_usage": True})

    assert all(event["usage"] is None and "tally" not in event for event in others)
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == 12 and last["tally"]["evidence"] == "signed"


async def test_choices_come_side_by_side_each_with_its_own_receipt(stage: Stage) -> None:
    *told, _ = await events(stage, n=3, logprobs=True)
    ends = [event["choices"][0]["index"] for event in told if event["choices"][0]["finish_reason"]]

    assert sorted(ends) == [0, 1, 2]
    runs = told[-1]["tally"]["runs"]
    assert len({run["job"] for run in runs}) == 3
    for run in runs:
        await stage.receipt(run["job"])
    logprobs = [event["choices"][0]["logprobs"] for event in told if event["choices"][0]["logprobs"]]
    assert sum(len(each["content"]) for each in logprobs) == 3 * 12


async def test_completions_stream_their_echo_first(stage: Stage) -> None:
    first, *others, last, _ = await events(
        stage, "/v1/completions", prompt="Once upon", echo=True, stream_options={"include_usage": True}
    )

    assert first["choices"][0]["text"] == "Once upon"
    assert "".join(event["choices"][0]["text"] for event in others)
    assert last["object"] == "text_completion"


class Breaking(FakeEngine):
    """Fails after four tokens."""

    async def _next_token(self, generation: Generation, position: int) -> int:
        if position == 4:
            raise Unreachable("the device has gone")
        return await super()._next_token(generation, position)


async def test_an_answer_that_breaks_off_ends_with_a_signed_error_and_without_done(tmp_path: Path) -> None:
    async with open_stage(tmp_path, engine=lambda: Breaking(end_every=1_000_000)) as stage:
        *_, last = await events(stage)
        whole = await stage.chat()
        receipt = read_bundle((await stage.get(last["tally"]["receipt"])).text)

    assert last["error"]["code"] == "answer_cut_short"
    assert 1 <= last["tally"]["tokens"] <= 4 and last["tally"]["signature"].startswith("0x")
    assert Leaf.unpack(receipt.receipt.leaf).status is Status.FAILED
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "answer_cut_short")
    assert whole.headers["x-should-retry"] == "false"


async def test_the_access_log_tells_the_job_and_no_prompt(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tallynet.client.gateway.access"):
        await stage.chat(messages=[{"role": "user", "content": "a secret of mine"}], user="u 17\n")
        await stage.chat(model="x" * 300)
        await until(lambda: len(access_lines(caplog)) == 2)
    first, second = access_lines(caplog)

    assert first.startswith("POST /v1/chat/completions 200 user=u?17? model=fake jobs=")
    assert "error=invalid_value" in second
    assert "secret" not in caplog.text


async def test_metrics_have_opentelemetrys_names(stage: Stage) -> None:
    await events(stage)
    await stage.chat(model="nonsense" * 4)
    await trio.testing.wait_all_tasks_blocked(0.1)
    text = (await stage.get("/metrics")).text

    labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="tallynet",gen_ai_request_model="fake"'
    assert f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="output"}} 12.0' in text
    assert f"gen_ai_server_time_to_first_token_seconds_count{{{labels}}} 1.0" in text
    assert 'gen_ai_server_request_duration_seconds_count{error_type="model_not_found"' in text
    assert 'tallynet_gateway_requests_total{code="model_not_found",status="404"} 1.0' in text
    assert "nonsense" not in text


async def test_an_older_receipt_is_given_without_its_text(tmp_path: Path) -> None:
    """Held in memory: one. The others come from where the client keeps them."""
    kept = tmp_path / "kept"
    kept.mkdir()
    async with open_stage(tmp_path, receipts_held=1, receipts=kept, keep=kept) as stage:
        jobs = [(await stage.chat()).json()["tally"]["job"] for _ in range(2)]
        texts = [(await stage.get(f"/v1/receipts/{job}")).text for job in jobs]

    assert [read_bundle(text).opening is None for text in texts] == [True, False]
