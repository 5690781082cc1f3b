"""What goes wrong with another server as an engine: its faults as errors of ours, its secrets kept."""

import gzip
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tallynet.engine import Finish, Generation, open_engine
from tallynet.protocol.errors import Busy, InvalidJob, Misconfigured, TallyError, Unreachable
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Request
from tests.engine.generations import seed
from tests.engine.openai_server import KEY, MODEL, Handler, OpenAIServer
from tests.engine.upstream_engine import RICH, SAY, SILENCE_SECONDS, ask, opened, running

# What goes wrong at the start


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        server = OpenAIServer(port=place.getsockname()[1])
    with pytest.raises(Unreachable, match="cannot be reached") as caught:
        await opened(server)
    assert "start again" in caught.value.remedy


async def test_a_server_without_the_model_is_misconfigured(server: OpenAIServer) -> None:
    spec = server.spec.replace(MODEL, "another")

    with pytest.raises(Misconfigured, match="does not serve 'another'"):
        await trio.to_thread.run_sync(open_engine, spec)


@pytest.mark.parametrize("api_key", ["", "wrong"])
async def test_a_key_that_the_server_refuses_is_told(api_key: str) -> None:
    with OpenAIServer(key=KEY).run() as server, pytest.raises(Unreachable, match="refuses the node's key"):
        await opened(server, api_key=api_key)


@pytest.mark.parametrize(
    "spec",
    [
        "", "127.0.0.1:80", "http://127.0.0.1:80/v1", "ftp://127.0.0.1/v1#m", "http://#m", "http://u:secret@h/v1#m",
        "http://h:99999/v1#m", "http://h/v1?key=secret#m", "http://h/v1#a\nb", f"http://h/v1#{'m' * 129}",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_misconfigured(spec: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        open_engine(f"openai:{spec}")
    assert "secret" not in str(caught.value)


# Secrets


async def test_the_key_is_sent_and_never_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with OpenAIServer(key=KEY).run() as server:
        async with running(server, api_key=KEY) as engine:
            await ask(engine)
            server.key = "changed"
            with pytest.raises(Unreachable) as caught:
                await ask(engine)

    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(engine._address) + str(caught.value) + str(caught.value.__cause__)
    assert not [record for record in caplog.records if KEY in record.getMessage()]


async def test_no_prompt_is_logged(server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(server) as engine:
        await ask(engine, Request(text="a secret of mine"))

    assert not [record for record in caplog.records if "secret" in record.getMessage()]


# What goes wrong later


def status(number: int, told: object = None, **headers: str) -> Callable[[Handler, dict[str, Any]], None]:
    told = told or {"error": {"message": "no such luck\x1b[2J"}}
    return lambda handler, body: handler.answer(told, number, **headers)


@pytest.mark.parametrize(
    ("misbehave", "error", "words"),
    [
        (status(400), InvalidJob, "no such luck"),
        (status(413), InvalidJob, "no such luck"),
        (status(422, {"detail": [{"msg": "too long"}]}), InvalidJob, "too long"),
        (status(401), Unreachable, "key"),
        (status(404), Unreachable, "status 404"),
        (status(429), Busy, "full"),
        (status(503), Busy, "full"),
        (status(500), Unreachable, "status 500"),
        (status(302, Location="http://127.0.0.1:9/"), Unreachable, "status 302"),
        (status(204), Unreachable, "status 204"),
    ],
)
async def test_a_status_becomes_an_error_of_ours(
    server: OpenAIServer, misbehave: Any, error: type[TallyError], words: str
) -> None:
    async with running(server) as engine:
        server.misbehave = misbehave
        with pytest.raises(error, match=words) as caught:
            await ask(engine)
        server.misbehave = None
        answer = await ask(engine)

    assert answer.finish is Finish.EOS
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(("header", "milliseconds"), [("7", 7000), ("0", 100), ("99999", 600_000), ("soon", 2000)])
async def test_a_full_server_says_when_to_come_again(server: OpenAIServer, header: str, milliseconds: int) -> None:
    async with running(server) as engine:
        server.misbehave = status(429, Retry_After=header)
        with pytest.raises(Busy) as caught:
            await ask(engine)

    assert caught.value.retry_after_ms == milliseconds


def says(*events: bytes) -> Callable[[Handler, dict[str, Any]], None]:
    """Some honest words, then these events, then nothing more."""

    def misbehave(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        for event in list(handler.events(body))[:4]:
            handler.say(event)
        time.sleep(0.08)  # so that the words before are a piece
        for event in (b'{"choices": [{"delta": {"content": " and"}}]}', *events):
            handler.say(event)

    return misbehave


def falls_silent(handler: Handler, body: dict[str, Any]) -> None:
    says()(handler, body)
    time.sleep(3 * SILENCE_SECONDS)


@pytest.mark.parametrize(
    ("misbehave", "words"),
    [
        (says(), "without an end"),
        (says(b"[DONE]"), "without an end"),
        (falls_silent, "in time"),
        (says(b"{"), "no event"),
        (says(b"[1, 2]"), "no event"),
        (says(b'{"choices": [{"delta": {"content": 5}}]}'), "no event"),
        (says(b"\xff\xfe"), "no event"),
        (says(b'{"choices": [{"text": "\\ud800"}]}'), "no event"),
        (says(b'{"error": {"message": "out of memory at /home/me"}}'), "broke off with an error"),
        (says(b'{"choices": [{"delta": {}, "finish_reason": "content_filter"}]}'), "none of the model's"),
        (says(b'{"choices": [{"text": "x", "token_ids": [-1]}]}'), "token ids"),
        (says(b'{"choices": [{"text": "x", "token_ids": [4294967296]}]}'), "token ids"),
        (says(b'{"choices": [{"text": "' + b"y" * 5000 + b'", "token_ids": [1]}]}'), "more text than tokens"),
        (says(b'{"pad": "' + b"z" * 300_000 + b'"}'), "more than an answer can hold"),
        (says(*[b'{"choices": [{"text": "' + b"y" * 900 + b'", "token_ids": []}]}'] * 30), "an end|a chunk can hold"),
    ],
)
async def test_a_broken_stream_is_unreachable_and_what_was_read_is_valid(
    server: OpenAIServer, misbehave: Any, words: str
) -> None:
    pieces = []
    async with running(server) as engine:
        server.misbehave = misbehave
        prompt = await engine.tokenize(SAY)
        with pytest.raises(Unreachable, match=words) as caught:
            async with engine.stream(Generation(prompt, Sampling(40), seed(7))) as stream:
                async for piece in stream:
                    pieces.append(piece)
        server.misbehave = None
        assert (await ask(engine)).finish is Finish.EOS

    assert pieces and all(piece.finish is None and len(piece.tokens) == len(piece.logprobs) for piece in pieces)
    assert "/home/me" not in str(caught.value)


async def test_compressed_bytes_are_refused(server: OpenAIServer) -> None:
    def compress(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin(Content_Encoding="gzip")
        handler.wfile.write(gzip.compress(b"data: " + b"0" * 10_000_000 + b"\n\n"))

    async with running(server) as engine:
        server.misbehave = compress
        with pytest.raises(Unreachable, match="compressed"):
            await ask(engine)


async def test_a_flood_is_cut_off(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallynet.engine.upstream.events.MAX_STREAM_BYTES", 200_000)

    def flood(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        while True:
            handler.say(b'{"choices": []}')

    async with running(server) as engine:
        server.misbehave = flood
        with pytest.raises(Unreachable, match="more than an answer can hold"):
            await ask(engine)
        assert await trio.to_thread.run_sync(server.hung_up.wait, 5)


async def test_an_error_page_without_end_is_cut_off(server: OpenAIServer) -> None:
    def flood(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin(500)
        while True:
            handler.wfile.write(b"x" * 10_000)

    async with running(server) as engine:
        server.misbehave = flood
        with pytest.raises(Unreachable, match="longer answer"):
            await ask(engine)
        assert await trio.to_thread.run_sync(server.hung_up.wait, 5)


@pytest.mark.parametrize("told", [{}, {"tokens": []}, {"tokens": ["a"]}, {"tokens": [True]}, {"tokens": [2**31]}, []])
async def test_a_tokenizer_that_tells_no_ids_is_unreachable(told: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer("vllm", RICH).run() as server:
        async with running(server) as engine:
            monkeypatch.setattr(Handler, "_tokenize", lambda handler, body: handler.answer(told))
            with pytest.raises(Unreachable, match="no token ids|no JSON object"):
                await engine.tokenize(SAY)
