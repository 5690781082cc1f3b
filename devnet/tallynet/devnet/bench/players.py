"""The two sides that are compared: an engine with nothing around it, and a client of the network.

python -m tallynet.devnet.bench.players engine DIRECTORY
python -m tallynet.devnet.bench.players client NETWORK_FILE

Each is a process of its own, which reads rounds from its standard input and writes outcomes, one JSON object a line.
"""

import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import trio

from tallynet.client import AsyncClient
from tallynet.devnet.bench.workload import (
    MAX_TOKENS,
    SAMPLING,
    TEMPERATURE,
    Outcome,
    Player,
    Round,
    Told,
    request,
    tally,
)
from tallynet.engine import Engine, Generation, open_engine
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Digest

DEADLINE_SECONDS = 300.0


@asynccontextmanager
async def engine_player(engine: Engine) -> AsyncIterator[Player]:
    """Plays on an engine, which runs until the block is left."""
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: engine.run(task_status=task_status))
        yield partial(_play, partial(_generate, engine))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def client_player(client: AsyncClient, model: str) -> AsyncIterator[Player]:
    """Plays through the network, with one client and one connection for all streams."""
    async with client:
        yield partial(_play, partial(_ask, client, model))


async def _play(ask: Callable[[int], Awaitable[Told]], this: Round) -> Outcome:
    answers: list[Told] = []

    async def one_client(number: int) -> None:
        for _ in range(this.answers):
            answers.append(await ask(number))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(this.clients):
            nursery.start_soon(one_client, number)
    return tally(answers, trio.current_time() - began)


async def _generate(engine: Engine, client: int) -> Told:
    """One answer; the time to its first token includes tokenising, as it does for a client."""
    began, first, tokens, chunks = trio.current_time(), 0.0, 0, 0
    prompt = await engine.tokenize(request(client))
    generation = Generation(prompt, SAMPLING, Digest(secrets.token_bytes(32)))
    async with engine.stream(generation) as pieces:
        async for piece in pieces:
            first = first or trio.current_time() - began
            tokens += len(piece.tokens)
            chunks += 1
    return Told(tokens, chunks, first)


async def _ask(client: AsyncClient, model: str, number: int) -> Told:
    answer = await client.ask(
        model, request(number), max_tokens=MAX_TOKENS, temperature=TEMPERATURE, deadline_seconds=DEADLINE_SECONDS
    )
    return Told(len(answer.tokens), len(answer.chunks), answer.seconds_to_first_token or answer.seconds)


async def serve(player: AbstractAsyncContextManager[Player]) -> None:
    """Play whatever comes in, until the input ends. An empty line says that it can begin."""
    rounds, outcomes = msgspec.json.Decoder(Round), trio.wrap_file(sys.stdout)
    async with player as play:
        await outcomes.write("\n")
        await outcomes.flush()
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            outcome = await play(rounds.decode(line))
            await outcomes.write(msgspec.json.encode(outcome).decode() + "\n")
            await outcomes.flush()


def main() -> None:
    what, where = sys.argv[1:]
    if what == "engine":
        trio.run(serve, engine_player(open_engine(where)))
    else:
        client = AsyncClient(Path(where), key=Key.generate())
        trio.run(serve, client_player(client, client.network.nodes[0].model))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # a thread may still wait for input
