"""The engine's own process: loads a model, answers the node through a socket, ends when the node does.

python -m tallynet.engine.child SOCKET_DESCRIPTOR SETTINGS_AS_JSON

Signals of the terminal and of a service manager are the node's business: it may still want to finish its jobs.
"""

import json
import logging
import signal
import socket
import sys
from functools import partial

import trio

from tallynet.engine.engine import Engine, Generation, Piece, TellingEngine
from tallynet.engine.line import (
    READ_BYTES,
    Admitted,
    Begin,
    Decoder,
    Failed,
    FromNode,
    Leave,
    Loaded,
    Mouth,
    Said,
    Tokenize,
    Tokens,
    encode,
    failure,
)
from tallynet.engine.opening import open_engine
from tallynet.protocol.errors import TallyError, Unreachable
from tallynet.protocol.request import Request

log = logging.getLogger(__name__)


def main() -> None:
    descriptor, settings = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=int(descriptor)) as line:
        try:
            engine = open_engine(**json.loads(settings))
            line.sendall(encode(_loaded(engine)))
        except TallyError as error:
            line.sendall(encode(failure(0, error)))
        else:
            trio.run(serve, engine, line)


async def serve(engine: Engine, line: socket.socket) -> None:
    """Until the node hangs up."""
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(line))
    mouth = Mouth(line)
    if isinstance(engine, TellingEngine):
        engine.tell_through(partial(_tell, engine, mouth))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: engine.run(task_status=task_status))
        nursery.start_soon(mouth.run)
        try:
            await _listen(engine, stream, mouth, nursery)
        except trio.BrokenResourceError:
            log.debug("the node is gone")
        nursery.cancel_scope.cancel()


async def _listen(engine: Engine, stream: trio.SocketStream, mouth: Mouth, nursery: trio.Nursery) -> None:
    decoder, running = Decoder[FromNode](FromNode), dict[int, trio.CancelScope]()
    while data := await stream.receive_some(READ_BYTES):
        for message in decoder.feed(data):
            if isinstance(message, Begin):
                scope = running[message.number] = trio.CancelScope()
                nursery.start_soon(_generate, engine, mouth, message.number, message.generation, scope, running)
            elif isinstance(message, Leave):
                if message.number in running:
                    running[message.number].cancel()
            elif isinstance(message, Tokenize):
                nursery.start_soon(_tokenize, engine, mouth, message.number, message.request)


async def _generate(
    engine: Engine,
    mouth: Mouth,
    number: int,
    generation: Generation,
    scope: trio.CancelScope,
    running: dict[int, trio.CancelScope],
) -> None:
    try:
        with scope:
            await _run(engine, mouth, number, generation)
    except Exception as error:  # whatever ends one generation ends no other
        mouth.say(_told(number, error))
    finally:
        del running[number]


async def _run(engine: Engine, mouth: Mouth, number: int, generation: Generation) -> None:
    if isinstance(engine, TellingEngine):
        async with engine.stream(generation, number) as pieces:
            async for _ in pieces:
                pass  # it was told
        return
    async with engine.stream(generation) as pieces:
        _tell(engine, mouth, [(number, None)])
        async for piece in pieces:
            _tell(engine, mouth, [(number, piece)])


def _tell(engine: Engine, mouth: Mouth, pieces: list[tuple[int, Piece | None]]) -> None:
    rate = engine.load().tokens_per_second
    mouth.say(*(Admitted(number) if piece is None else Said(number, piece, rate) for number, piece in pieces))


async def _tokenize(engine: Engine, mouth: Mouth, number: int, request: Request) -> None:
    try:
        mouth.say(Tokens(number, await engine.tokenize(request)))
    except Exception as error:  # as above: a tokenizer is foreign code too
        mouth.say(_told(number, error))


def _told(number: int, error: Exception) -> Failed:
    if isinstance(error, TallyError):
        return failure(number, error)
    log.error("the engine failed", exc_info=error)
    return failure(number, Unreachable(f"the engine failed: {type(error).__name__}"))


def _loaded(engine: Engine) -> Loaded:
    info = engine.info
    return Loaded(
        info.name, info.manifest, info.environment, info.context_length, info.vocabulary_size, info.slots,
        info.evidence, info.task, info.unheeded, info.scores, info.planned_bytes, info.wishes,
        engine.load().tokens_per_second,
    )  # fmt: skip


if __name__ == "__main__":
    main()
