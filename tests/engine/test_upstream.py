"""Another server as an engine: its words as pieces, its faults as errors of ours, its secrets kept."""

import gzip
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tallynet.engine import Engine, Finish, Generation, open_engine
from tallynet.engine.upstream import UpstreamEngine
from tallynet.engine.upstream.questions import seed_number
from tallynet.engine.upstream.server import Address
from tallynet.engine.upstream.stand_ins import stand_in
from tallynet.protocol.errors import Busy, InvalidJob, Misconfigured, TallyError, Unreachable
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import Digest
from tests.engine.generations import MILLION, Read, read, seed
from tests.engine.openai_server import END, KEY, MODEL, PLAIN, WORDS, Handler, OpenAIServer

SAY = Request(messages=(Message("system", "Be brief."), Message("user", "Count, grün and 日本.")))
GO_ON = Request(text="Once upon a time")
WITH_TOP_K = PLAIN | {"top_k"}
RICH = WITH_TOP_K | {"return_token_ids"}
SILENCE_SECONDS = 0.5


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer().run() as server:
        yield server


async def opened(server: OpenAIServer, **settings: Any) -> UpstreamEngine:
    """In a thread, as a node does it."""
    address = Address.read(server.spec.removeprefix("openai:"), settings.pop("api_key", ""))
    settings = {"slots": 4, "silence_seconds": SILENCE_SECONDS, **settings}
    return await trio.to_thread.run_sync(lambda: UpstreamEngine(address, **settings))


@asynccontextmanager
async def running(server: OpenAIServer, **settings: Any) -> AsyncIterator[UpstreamEngine]:
    engine = await opened(server, **settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        yield engine
        nursery.cancel_scope.cancel()


async def ask(engine: Engine, request: Request = SAY, **sampling: Any) -> Read:
    prompt = await engine.tokenize(request)
    return await read(engine, Generation(prompt, Sampling(**{"max_tokens": 40, **sampling}), seed(7)))


# What it says


@pytest.mark.parametrize("request_", [SAY, GO_ON], ids=["messages", "text"])
async def test_the_servers_words_come_as_pieces(server: OpenAIServer, request_: Request) -> None:
    async with running(server) as engine:
        answer = await ask(engine, request_)

    words = [next(word for word in WORDS if stand_in(word) == token) for token in answer.tokens]
    assert answer.text == "".join(words)
    assert len(words) == server.length
    assert answer.finish is Finish.EOS
    assert answer.logprobs == [0.0] * server.length
    assert all(len(piece.tokens) <= 16 for piece in answer.pieces)


async def test_the_request_is_sent_as_it_was_asked(server: OpenAIServer) -> None:
    async with running(server) as engine:
        await ask(engine, SAY, temperature_millionths=700_000, top_p_millionths=900_000, max_tokens=9, stop=("x",))
        path, body = server.asked[-1]
        await ask(engine, GO_ON)

    assert path == "/v1/chat/completions"
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Count, grün and 日本."},
    ]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == (MODEL, 0.7, 0.9, 9)
    assert body["seed"] == seed_number(seed(7))
    assert "stop" not in body
    assert server.asked[-1][0] == "/v1/completions"
    assert server.asked[-1][1]["prompt"] == "Once upon a time"


async def test_the_job_decides_the_seed(server: OpenAIServer) -> None:
    async with running(server) as engine:
        prompt = await engine.tokenize(SAY)
        hot = Sampling(20, MILLION)
        first, again, other = [
            (await read(engine, Generation(prompt, hot, seed(number)))).text for number in (2**255, 2**255, 2**254)
        ]

    assert first == again != other
    assert seed_number(Digest(b"\xff" * 32)) == 2**31 - 1


async def test_max_tokens_ends_an_answer(server: OpenAIServer) -> None:
    async with running(server) as engine:
        answer = await ask(engine, max_tokens=5)

    assert (len(answer.tokens), answer.finish) == (5, Finish.LENGTH)


async def test_a_server_that_goes_on_is_cut_at_max_tokens(server: OpenAIServer) -> None:
    def chatter(handler: Handler, body: dict[str, Any]) -> None:
        handler.generate(body | {"max_tokens": 100})

    async with running(server) as engine:
        server.misbehave, server.length = chatter, 60
        answer = await ask(engine, max_tokens=21)

    assert (len(answer.tokens), answer.finish) == (21, Finish.LENGTH)
    assert [len(piece.tokens) <= 16 for piece in answer.pieces]


async def test_a_stop_string_ends_an_answer_and_the_request(server: OpenAIServer) -> None:
    server.length = 4000
    async with running(server) as engine:
        whole = (await ask(engine, max_tokens=400)).text
        stop = whole[30:37]
        answer = await ask(engine, max_tokens=4000, stop=(stop,))

        assert answer.text == whole[: whole.index(stop)]
        assert answer.finish is Finish.STOP
        assert await trio.to_thread.run_sync(server.hung_up.wait, 5)


async def test_one_event_with_a_long_text_is_several_stand_ins(server: OpenAIServer) -> None:
    def pour(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        handler.say(json.dumps({"choices": [{"delta": {"content": "ab" * 20_000}}]}).encode())
        handler.say(json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}).encode())

    async with running(server, context_length=8000) as engine:
        server.misbehave = pour
        answer = await ask(engine, max_tokens=100)

    assert answer.text == "ab" * 20_000
    assert len(answer.tokens) == 40
    assert max(len(piece.text) for piece in answer.pieces) <= 16 * 1024


# What it tells


@pytest.mark.parametrize("style", ["vllm", "llama.cpp"])
@pytest.mark.parametrize("request_", [SAY, GO_ON], ids=["messages", "text"])
async def test_ids_and_logprobs_are_the_servers_own_where_it_tells_them(style: str, request_: Request) -> None:
    with OpenAIServer(style, RICH if style == "vllm" else WITH_TOP_K, context=777).run() as server:
        async with running(server) as engine:
            prompt = await engine.tokenize(request_)
            answer = await ask(engine, request_, top_k=3)

    text = request_.text or "".join(turn.content for turn in request_.messages) + "\n"
    assert bytes(prompt).lstrip(b"\x01") == text.encode()
    assert server.asked[-1][0] == "/v1/completions"
    assert server.asked[-1][1]["prompt"] == list(prompt)
    assert server.asked[-1][1]["top_k"] == 3
    told = [END] if style == "vllm" else []
    assert answer.tokens[: server.length] == [WORDS.index(word) for word in _words(answer.text)]
    assert answer.tokens[server.length :] == told
    assert answer.logprobs == [-0.5] * server.length + [0.0] * len(told)
    assert engine.info.context_length == 777
    assert json.loads(engine.info.environment)["token_ids"] == "server"
    assert json.loads(engine.info.environment)["prompt_ids"] == "server"


async def test_what_it_says_about_itself(server: OpenAIServer) -> None:
    engine = await opened(server)

    (entry,) = engine.info.manifest.files
    assert (engine.info.name, entry.path, entry.size) == (MODEL, "upstream-model-name", len(MODEL))
    assert engine.info.evidence == "signature-only"
    assert engine.info.unheeded == ("top_k",)
    assert json.loads(engine.info.environment) == {
        "api": "openai", "engine": "upstream", "logprobs": "untold", "prompt_ids": "stand-ins",
        "token_ids": "stand-ins",
    }  # fmt: skip
    assert engine.load().tokens_per_second > 0


async def test_the_same_name_at_another_address_is_the_same_model(server: OpenAIServer) -> None:
    with OpenAIServer().run() as elsewhere:
        assert (await opened(server)).info.model == (await opened(elsewhere)).info.model


@pytest.mark.parametrize("name", ["top_k", "top_p"])
async def test_a_parameter_that_is_passed_over_is_refused(name: str) -> None:
    with OpenAIServer(fields=WITH_TOP_K, passes_over=frozenset({name})).run() as server:
        async with running(server) as engine:
            assert [said.partition("_millionths")[0] for said in engine.info.unheeded] == [name]
            with pytest.raises(InvalidJob, match=f"takes no {name}"):
                await ask(engine, top_k=5, top_p_millionths=5)
            assert len((await ask(engine)).tokens) == server.length


async def test_a_server_without_chat_takes_no_messages() -> None:
    with OpenAIServer(paths=frozenset({"/v1/completions"})).run() as server:
        async with running(server) as engine:
            assert (await ask(engine, GO_ON)).text
            with pytest.raises(InvalidJob, match="no messages"):
                await ask(engine, SAY)


async def test_a_server_without_completions_takes_no_plain_text() -> None:
    with OpenAIServer(paths=frozenset({"/v1/chat/completions"})).run() as server:
        async with running(server) as engine:
            assert (await ask(engine, SAY)).text
            with pytest.raises(InvalidJob, match="no plain text"):
                await ask(engine, GO_ON)


async def test_a_prompt_longer_than_the_context_is_refused(server: OpenAIServer) -> None:
    async with running(server, context_length=64) as engine:
        with pytest.raises(InvalidJob, match="holds 64"):
            await engine.tokenize(Request(text="x" * 64))


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


# Leaving and waiting


async def test_leaving_ends_the_request_at_the_server(server: OpenAIServer) -> None:
    def slowly(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        for event in handler.events(body | {"max_tokens": 4000}):
            handler.say(event)
            time.sleep(0.01)

    async with running(server) as engine:
        server.misbehave, server.length = slowly, 4000
        prompt = await engine.tokenize(SAY)
        async with engine.stream(Generation(prompt, Sampling(4000), seed(1))) as pieces:
            await anext(pieces)
            assert engine.load().running == 1

        assert await trio.to_thread.run_sync(server.hung_up.wait, 5)
        assert engine.load().running == 0


async def test_cancelling_ends_the_request_at_the_server(server: OpenAIServer) -> None:
    def trickle(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        for event in handler.events(body):
            handler.say(event)
            time.sleep(0.3)

    async with running(server) as engine:
        server.misbehave = trickle
        with trio.move_on_after(0.4) as scope:
            await ask(engine)

        assert scope.cancelled_caught
        assert await trio.to_thread.run_sync(server.hung_up.wait, 5)


async def test_slots_bound_the_requests_and_the_others_wait(server: OpenAIServer) -> None:
    async with running(server, slots=2) as engine:
        prompt = await engine.tokenize(SAY)
        generation = Generation(prompt, Sampling(40), seed(1))
        answers: list[Read] = []

        async def one() -> None:
            answers.append(await read(engine, generation))

        async with engine.stream(generation), engine.stream(generation), trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert (engine.load().running, engine.load().waiting, answers) == (2, 1, [])
            nursery.cancel_scope.cancel()
        await one()
    assert answers[0].finish is Finish.EOS


async def test_what_was_not_started_cannot_be_used(server: OpenAIServer) -> None:
    engine = await opened(server)

    with pytest.raises(Busy, match="being started"):
        await engine.tokenize(SAY)
    with pytest.raises(RuntimeError, match="not running"):
        async with engine.stream(Generation((1,), Sampling(1), seed(0))):
            pass


def _words(text: str) -> list[str]:
    return [f" {word}" for word in text.split()]
