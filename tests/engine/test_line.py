"""What a node and its engine's process say to each other arrives whole and in order, from whatever thread."""

import socket
import threading
from collections.abc import Iterator

import pytest
import trio

from tallynet.engine.line import Decoder, FromNode, Leave, Message, Mouth

SECONDS = 30
MANY = 20_000


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        yield here, there


async def hear(line: socket.socket, count: int) -> list[FromNode]:
    """The next `count` messages."""
    decoder, heard = Decoder[FromNode](FromNode), list[FromNode]()
    with trio.fail_after(SECONDS):
        while len(heard) < count:
            await trio.lowlevel.wait_readable(line)
            heard.extend(decoder.feed(line.recv(1 << 16)))
    return heard


async def test_what_is_said_together_is_sent_at_once(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    said: list[Message] = [Leave(number) for number in range(3)]

    Mouth(here).say(*said)

    assert list(Decoder[FromNode](FromNode).feed(there.recv(1 << 16))) == said


async def test_nothing_is_lost_or_cut_when_the_other_end_is_slow(
    ends: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    here, there = ends
    mouth = Mouth(here)
    nursery.start_soon(mouth.run)
    said = [Leave(number) for number in range(MANY)]
    for message in said:
        mouth.say(message)
    assert mouth._waiting  # more than a socket holds

    assert await hear(there, MANY) == said
    mouth.say(Leave(MANY))
    assert await hear(there, 1) == [Leave(MANY)]


async def test_two_threads_do_not_cut_each_others_words(
    ends: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    here, there = ends
    mouth = Mouth(here)
    nursery.start_soon(mouth.run)

    def speak(parity: int) -> None:
        for number in range(parity, MANY, 2):
            mouth.say(Leave(number))

    threads = [threading.Thread(target=speak, args=(parity,)) for parity in (0, 1)]
    for thread in threads:
        thread.start()
    heard = [message.number for message in await hear(there, MANY)]
    for thread in threads:
        thread.join()

    assert [number for number in heard if number % 2 == 0] == list(range(0, MANY, 2))
    assert [number for number in heard if number % 2 == 1] == list(range(1, MANY, 2))


async def test_nothing_piles_up_for_an_end_that_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    mouth = Mouth(here)
    there.close()

    for number in range(10):
        mouth.say(Leave(number))

    assert not mouth._waiting
