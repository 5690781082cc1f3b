"""Another server as an engine: its words as pieces, its slots as ours."""

import json
import time
from typing import Any

import pytest
import trio

from tallynet.engine import Finish, Generation
from tallynet.engine.upstream.questions import seed_number
from tallynet.engine.upstream.stand_ins import stand_in
from tallynet.protocol.errors import Busy, InvalidJob
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Request
from tallynet.protocol.units import Digest
from tests.engine.generations import MILLION, Read, read, seed
from tests.engine.openai_server import END, MODEL, WORDS, Handler, OpenAIServer
from tests.engine.upstream_engine import GO_ON, RICH, SAY, WITH_TOP_K, ask, opened, running

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
