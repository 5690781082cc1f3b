"""Asking ahead: answers in order, a bounded number under way, failures where they belong."""

import pytest
import trio

from tallynet.audit.fetching import ask_ahead
from tallynet.audit.tile_rows import TileRows
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.tiles import TILE_WIDTH, Tile, tiles, write_tile


async def test_answers_come_in_the_order_of_the_questions(autojump_clock: trio.testing.MockClock) -> None:
    async def ask(number: int) -> int:
        await trio.sleep(10 - number)
        return number * number

    async with ask_ahead(ask, range(10), ahead=4) as answers:
        assert [answer async for answer in answers] == [number * number for number in range(10)]


async def test_no_more_than_so_many_are_under_way(autojump_clock: trio.testing.MockClock) -> None:
    under_way, most = 0, 0

    async def ask(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await trio.sleep(1)
        under_way -= 1
        return number

    async with ask_ahead(ask, range(100), ahead=5) as answers:
        begun = trio.current_time()
        assert len([answer async for answer in answers]) == 100
        assert trio.current_time() - begun <= 100 / 4

    assert most in (5, 6)


async def test_a_slow_reader_is_not_overrun(autojump_clock: trio.testing.MockClock) -> None:
    asked = []

    async def ask(number: int) -> int:
        asked.append(number)
        return number

    async with ask_ahead(ask, range(100), ahead=5) as answers:
        await trio.sleep(10)
        assert len(asked) <= 6
        assert await anext(answers) == 0


async def test_a_failure_is_raised_where_its_answer_would_have_come() -> None:
    async def ask(number: int) -> int:
        if number == 3:
            raise NodeUnreachable("gone")
        return number

    got = []
    with pytest.raises(NodeUnreachable, match="gone"):
        async with ask_ahead(ask, range(10)) as answers:
            async for answer in answers:
                got.append(answer)
    assert got == [0, 1, 2]


async def test_leaving_early_stops_asking() -> None:
    asked = []

    async def ask(number: int) -> int:
        asked.append(number)
        await trio.lowlevel.checkpoint()
        return number

    async with ask_ahead(ask, range(10_000), ahead=3) as answers:
        assert await anext(answers) == 0

    assert len(asked) < 20


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513, 700])
def test_tiles_follow_from_the_entries(size: int) -> None:
    hashes = [leaf_hash(bytes([number % 256, number // 256])) for number in range(size)]
    tree, rows = Tree(hashes), TileRows()
    known: dict[Tile, bytes] = {}

    for start in range(0, size, TILE_WIDTH):
        known |= dict(rows.extend(hashes[start : start + TILE_WIDTH]))
    known |= dict(rows.partial())

    assert known == {tile: write_tile(tree, tile) for tile in tiles(size)}


def test_tiles_of_the_second_level_follow_too() -> None:
    hashes = [leaf_hash(number.to_bytes(4, "big")) for number in range(TILE_WIDTH * TILE_WIDTH + 300)]
    tree, begun = Tree(hashes), TileRows()
    known: dict[Tile, bytes] = {}
    for start in range(0, 200 * TILE_WIDTH, TILE_WIDTH):
        known |= dict(begun.extend(hashes[start : start + TILE_WIDTH]))
    rows = TileRows(begun.rows, 200 * TILE_WIDTH)
    for start in range(200 * TILE_WIDTH, len(hashes), TILE_WIDTH):
        known |= dict(rows.extend(hashes[start : start + TILE_WIDTH]))
    known |= dict(rows.partial())

    assert known[Tile(1, 0)] == write_tile(tree, Tile(1, 0))
    assert known == {tile: write_tile(tree, tile) for tile in tiles(len(hashes))}
