"""What a node and its engine's process say to each other arrives whole and in order, from whatever thread."""

import socket
import threading
from collections.abc import Iterator

import pytest
import trio

from tallynet.engine.line import Decoder, FromNode, Leave, Message, Mouth

SECONDS = 30
MANY = 20_000

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        yield here, there


@pytest.fixture
async def mouth(ends: Ends, nursery: trio.Nursery) -> Mouth:
    """At the first of the ends."""
    made = Mouth(ends[0])
    nursery.start_soon(made.run)
    return made


async def hear(line: socket.socket, count: int) -> list[FromNode]:
    """The next `count` messages."""
    decoder, heard = Decoder[FromNode](FromNode), list[FromNode]()
    with trio.fail_after(SECONDS):
        while len(heard) < count:
            await trio.lowlevel.wait_readable(line)
            heard.extend(decoder.feed(line.recv(1 << 16)))
    return heard


async def test_what_is_said_together_is_sent_at_once(ends: Ends, mouth: Mouth) -> None:
    said: list[Message] = [Leave(number) for number in range(3)]

    mouth.say(*said)

    assert list(Decoder[FromNode](FromNode).feed(ends[1].recv(1 << 16))) == said


async def test_nothing_is_lost_or_cut_when_the_other_end_is_slow(ends: Ends, mouth: Mouth) -> None:
    said = [Leave(number) for number in range(MANY)]
    for message in said:
        mouth.say(message)
    assert mouth._waiting  # more than a socket holds

    assert await hear(ends[1], MANY) == said
    mouth.say(Leave(MANY))
    assert await hear(ends[1], 1) == [Leave(MANY)]


async def test_two_threads_do_not_cut_each_others_words(ends: Ends, mouth: Mouth) -> None:
    def speak(parity: int) -> None:
        for number in range(parity, MANY, 2):
            mouth.say(Leave(number))

    threads = [threading.Thread(target=speak, args=(parity,)) for parity in (0, 1)]
    for thread in threads:
        thread.start()
    heard = [message.number for message in await hear(ends[1], MANY)]
    for thread in threads:
        thread.join()

    assert [number for number in heard if number % 2 == 0] == list(range(0, MANY, 2))
    assert [number for number in heard if number % 2 == 1] == list(range(1, MANY, 2))


async def test_nothing_piles_up_for_an_end_that_is_gone(ends: Ends, mouth: Mouth) -> None:
    ends[1].close()

    for number in range(10):
        mouth.say(Leave(number))

    assert not mouth._waiting
