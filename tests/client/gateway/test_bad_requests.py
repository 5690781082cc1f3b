"""A wrong request gets a status, a code and the parameter's name; none of them gets 500."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tallynet.client.portal import Portal
from tallynet.protocol.units import prefixed
from tests.client.gateway.stage import MODEL, QUESTION, Stage, chat_body, open_stage

CHAT = "/v1/chat/completions"
COMPLETION: dict[str, Any] = {"model": MODEL, "prompt": "Once upon", "temperature": 0, "max_tokens": 4}
NOBODY = "0x" + "11" * 20
CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
STRICT = {"type": "function", "function": {"name": "weather", "strict": True}}


Hosted = Portal[Stage]


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """One gateway for all tests here, in a thread of its own: no bad request may harm the next."""
    folder = tmp_path_factory.mktemp("stage")
    portal = Portal(open_stage(folder, max_request_bytes=4096, body_seconds=0.5), "stage")
    yield portal
    portal.close()


def chat(hosted: Hosted, **changes: Any) -> httpx.Response:
    return hosted.call(lambda stage: stage.chat(**changes))


def post(hosted: Hosted, path: str, body: Any = None, **options: Any) -> httpx.Response:
    """`content` in the options is sent as it is, in place of a body."""

    async def send(stage: Stage) -> httpx.Response:
        async with stage.http() as http:
            return await http.post(path, json=body, **options)

    return hosted.call(send)


def get(hosted: Hosted, path: str) -> httpx.Response:
    return hosted.call(lambda stage: stage.get(path))


def fault(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert error["message"] and error["type"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"model": 5}, "invalid_value", "model"),
        ({"model": "0x12"}, "invalid_model", None),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": None}, "missing_parameter", "messages"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_value", "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]}, "invalid_value", None),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL]}]}, "unsupported_parameter", "tools"),
        ({"messages": [{"role": "user"}]}, "missing_parameter", "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "invalid_value", None),
        ({"messages": [{"role": "user", "content": "x", "nme": "y"}]}, "unknown_parameter", "messages[0].nme"),
        ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "invalid_value", "messages[0].name"),
        ({"temperature": 2.5}, "invalid_value", "temperature"),
        ({"temperature": "hot"}, "invalid_value", "temperature"),
        ({"top_p": -0.1}, "invalid_value", "top_p"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": 10**30}, "invalid_value", "max_tokens"),
        ({"max_tokens": 8000}, "context_length_exceeded", None),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "invalid_value", "max_tokens"),
        ({"n": 9}, "invalid_value", "n"),
        ({"stop": [""]}, "invalid_value", "stop[0]"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"top_logprobs": 3, "logprobs": True}, "invalid_value", "top_logprobs"),
        ({"seed": 7, "temperature": 0.5}, "unsupported_parameter", "seed"),
        ({"logit_bias": {"5": 1}}, "unsupported_parameter", "logit_bias"),
        ({"logit_bias": {"5": 101}}, "invalid_value", "logit_bias[...]"),
        ({"logit_bias": {"the": 1}}, "invalid_value", None),
        ({"presence_penalty": 0.5}, "unsupported_parameter", "presence_penalty"),
        ({"presence_penalty": False}, "unsupported_parameter", "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "unsupported_schema", "response_format"),
        ({"response_format": {"type": "yaml"}}, "invalid_value", "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "missing_parameter", "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
            "invalid_value",
            None,
        ),
        ({"tools": [TOOL]}, "unsupported_parameter", "tools"),
        ({"tools": [TOOL, TOOL]}, "invalid_value", "tools"),
        ({"tools": [{"type": "web_search"}]}, "invalid_value", "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "invalid_value", "tools[0].function.name"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "unsupported_parameter", "parallel_tool_calls"),
        ({"tools": [STRICT]}, "unsupported_parameter", "tools[0].function.strict"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": [TOOL]},
            "invalid_value",
            "tool_choice",
        ),
        ({"functions": [{"name": "f"}]}, "unsupported_parameter", "functions"),
        ({"store": True}, "unsupported_parameter", "store"),
        ({"no_such": 1}, "unknown_parameter", "no_such"),
        ({"tally": {"minimum_evidence": "replayed"}}, "invalid_value", "tally.minimum_evidence"),
        ({"tally": {"nodes": ["everybody"]}}, "invalid_value", "tally.nodes[0]"),
        ({"tally": {"max_price": 5}}, "unknown_parameter", "tally.max_price"),
        ({"tally": {"agreement": {"agree": 3, "among": 2}}}, "invalid_value", "tally.agreement"),
        ({"tally": {"agreement": {"agree": 1, "among": 2}}, "stream": True}, "invalid_value", "tally.agreement"),
    ],
)
def test_wrong_parameter_is_named(hosted: Hosted, changes: dict[str, Any], code: str, param: str | None) -> None:
    status, told, named = fault(chat(hosted, **changes))

    assert (status, told) == (400, code)
    assert param is None or named == param


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 1, "presence_penalty": 0, "logit_bias": {}, "response_format": {"type": "text"}, "store": False},
        {"tools": [], "tool_choice": "none", "user": "u-17", "metadata": None, "service_tier": "auto"},
        {"seed": 7},
        {"top_p": 0, "temperature": 1.5, "top_k": 3},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, *QUESTION]},
        {"messages": [*QUESTION, {"role": "assistant", "content": "Tokyo.", "refusal": None}, *QUESTION]},
    ],
)
def test_what_asks_for_nothing_more_is_accepted(hosted: Hosted, changes: dict[str, Any]) -> None:
    assert (chat(hosted, **changes)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": ["a", 2]}, "invalid_value", "prompt"),
        ({"prompt": [-1]}, "invalid_value", "prompt[0]"),
        ({"prompt": ["a"] * 3, "n": 3}, "invalid_value", "n"),
        ({"echo": True, "logprobs": 0}, "unsupported_parameter", "max_tokens"),
        ({"logprobs": 5}, "unsupported_parameter", "logprobs"),
        ({"logprobs": 6}, "invalid_value", "logprobs"),
        ({"best_of": 3}, "unsupported_parameter", "best_of"),
        ({"suffix": "end"}, "unsupported_parameter", "suffix"),
    ],
)
def test_wrong_parameter_of_a_completion_is_named(
    hosted: Hosted, changes: dict[str, Any], code: str, param: str
) -> None:
    assert fault(post(hosted, "/v1/completions", {**COMPLETION, **changes})) == (400, code, param)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"model": "\xff"}', b"[" * 3000, b'{"model": "\\ud800"}', b"1e999"]
)
def test_no_json_object_is_refused(hosted: Hosted, body: bytes) -> None:
    answer = post(hosted, CHAT, content=body, headers={"content-type": "application/json; charset=utf-8"})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("invalid_json", "missing_parameter", "invalid_request")


def test_unknown_model_is_not_found(hosted: Hosted) -> None:
    assert fault(chat(hosted, model="gpt-4o")) == (404, "model_not_found", "model")
    assert fault(get(hosted, "/v1/models/gpt-4o")) == (404, "model_not_found", "model")
    assert fault(post(hosted, "/v1/embeddings", {"model": "gpt-4o", "input": "x"}))[:2] == (404, "model_not_found")


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({}, "model_without_embeddings", "model"),
        ({"input": ["a", "b"], "encoding_format": "base64"}, "model_without_embeddings", "model"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": ["a", ""]}, "invalid_value", "input[1]"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": [7, 8]}, "invalid_value", "input"),
        ({"input": [[7, 8], [9]]}, "invalid_value", "input"),
        ({"input": None}, "missing_parameter", "input"),
        ({"encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ({"dimensions": 8}, "unsupported_parameter", "dimensions"),
        ({"tally": {"agreement": {"agree": 1, "among": 2}}}, "invalid_value", "tally.agreement"),
    ],
)
def test_wrong_parameter_of_embeddings_is_named(hosted: Hosted, changes: dict[str, Any], code: str, param: str) -> None:
    answer = post(hosted, "/v1/embeddings", {"model": MODEL, "input": "a", **changes})

    assert fault(answer) == (400, code, param)


def test_large_body_is_refused(hosted: Hosted) -> None:
    answer = chat(hosted, messages=[{"role": "user", "content": "x" * 5000}])

    assert fault(answer) == (413, "request_too_large", None)
    assert answer.headers["x-should-retry"] == "false"


def test_body_of_another_type_is_refused(hosted: Hosted) -> None:
    """A web page can send text/plain without asking first, and application/json only where CORS lets it."""
    answer = post(hosted, CHAT, content=b"{}", headers={"content-type": "text/plain"})

    assert fault(answer) == (415, "unsupported_media_type", None)


def test_slow_body_is_given_up(hosted: Hosted) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await trio.sleep(1.5)
        yield b"}"

    answer = post(hosted, CHAT, content=trickle(), headers={"content-type": "application/json"})

    assert fault(answer) == (408, "request_timeout", None)


def test_caller_who_hangs_up_in_the_middle_of_the_body_is_no_failure_of_ours(
    hosted: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang_up(stage: Stage) -> None:
        _, _, port = stage.url.rpartition(":")
        stream = await trio.open_tcp_stream("127.0.0.1", int(port))
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
        )
        await stream.send_all(head.encode())
        await trio.sleep(0.1)
        await stream.aclose()
        await trio.sleep(0.2)

    hosted.call(hang_up)

    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_unknown_route_and_method_have_the_same_shape(hosted: Hosted) -> None:
    assert fault(get(hosted, "/v1/nonsense")) == (404, "not_found", None)
    assert fault(get(hosted, CHAT)) == (405, "method_not_allowed", None)


@pytest.mark.parametrize("job", ["nonsense", "0x12", prefixed(bytes(32))])
def test_unknown_receipt_is_not_found(hosted: Hosted, job: str) -> None:
    assert fault(get(hosted, f"/v1/receipts/{job}")) == (404, "receipt_not_found", "job")


def test_foreign_host_is_refused_where_no_key_is_needed(hosted: Hosted) -> None:
    """A web page of a name that leads to this machine (DNS rebinding) gets no answer."""
    answer = post(hosted, CHAT, chat_body(), headers={"host": "evil.example:8000"})

    assert fault(answer)[:2] == (403, "host_not_allowed")


async def test_browser_may_not_call_unless_it_is_told_so(tmp_path: Path) -> None:
    asking = {"origin": "https://page.example", "access-control-request-method": "POST"}
    async with open_stage(tmp_path / "one") as stage, stage.http() as http:
        refused = await http.options(CHAT, headers=asking)
    async with open_stage(tmp_path / "other", cors_origins=("https://page.example",)) as stage, stage.http() as http:
        allowed = await http.options(CHAT, headers=asking)

    assert "access-control-allow-origin" not in refused.headers
    assert allowed.headers["access-control-allow-origin"] == "https://page.example"


def test_job_at_nodes_that_do_not_have_the_model_finds_nobody(hosted: Hosted) -> None:
    answer = chat(hosted, tally={"nodes": [NOBODY]})

    assert fault(answer)[:2] == (503, "no_nodes")
    assert int(answer.headers["retry-after"]) > 0


async def test_ceiling_below_the_price_finds_nobody(tmp_path: Path) -> None:
    async with open_stage(tmp_path, devnet={"settings": {"completion_price_wei": 1000}}) as stage:
        refused = await stage.chat(tally={"max_price_wei": 5})
        by_header = await stage.post(CHAT, chat_body(), headers={"x-tally-policy": '{"max_price_wei": 5}'})
        paid = await stage.chat(tally={"max_price_wei": 10**6})

    assert fault(refused)[:2] == fault(by_header)[:2] == (503, "no_nodes")
    assert 0 < paid.json()["tally"]["price_wei"] <= 32_000


def test_unreadable_policy_header_is_refused(hosted: Hosted) -> None:
    answer = post(hosted, CHAT, chat_body(), headers={"x-tally-policy": "cheap"})

    assert fault(answer) == (400, "invalid_policy", "x-tally-policy")


def test_answer_that_does_not_come_in_time_is_not_retried(hosted: Hosted) -> None:
    answer = chat(hosted, tally={"deadline_seconds": 0.000001})

    assert fault(answer)[:2] == (408, "deadline_exceeded")
    assert answer.headers["x-should-retry"] == "false"
