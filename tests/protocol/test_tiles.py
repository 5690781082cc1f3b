"""Tiles: their names and bytes by C2SP tlog-tiles, chapter 5, checks (1) to (7), each broken alone."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol import merkle
from tallynet.protocol.errors import Invalid, InvalidFrame, InvalidProof
from tallynet.protocol.leaf import LEAF_BYTES
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.tiles import (
    BUNDLE_BYTES,
    MAX_PATH_CHARACTERS,
    TILE_BYTES,
    TILE_WIDTH,
    Tile,
    bundles,
    check_bundle,
    check_tiles,
    read_bundle,
    read_tile,
    tiles,
    write_bundle,
    write_tile,
)

LARGEST = 70_000
LEAVES = [merkle.leaf_hash(number.to_bytes(4)) for number in range(LARGEST)]
TREE = Tree(LEAVES)


def entry(number: int) -> bytes:
    return number.to_bytes(4) * (LEAF_BYTES // 4)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 5), "tile/0/005"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(1, 1000), "tile/1/x001/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(None, 1_234_067, 255), "tile/entries/x001/x234/067.p/255"),
        (Tile(4, 0, 255), "tile/4/000.p/255"),
        (Tile(0, 2**32 - 1, 255), "tile/0/x004/x294/x967/295.p/255"),
    ],
)
def test_a_tile_has_one_name(tile: Tile, path: str) -> None:
    assert str(tile) == path
    assert Tile.parse(path) == tile
    assert len(path) <= MAX_PATH_CHARACTERS


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/001/000",
        "tile/0/X001/000",
        "tile/-1/000",
        "tile/a/000",
        "tile/5/000",
        "tile/63/000",
        "tile/64/000",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/257",
        "tile/0/000.p/-1",
        "tile/0/000.p/1/",
        "tile/0/000.P/1",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/Entries/000",
        "tile/0/x004/x294/x967/295",
        "tile/0/x004/x294/x967/296.p/1",
        "tile/4/001.p/1",
        "tile/0/x001/x000/x000/x000/000",
        "tile/0/" + "x001/" * 20 + "000",
        "../tile/0/000",
    ],
)
def test_1_a_path_of_no_tile(path: str) -> None:
    with pytest.raises(InvalidFrame) as refusal:
        Tile.parse(path)
    assert refusal.value.check == 1


@pytest.mark.parametrize("path", ["tile/00/000", "tile/0/x000/005", "tile/entries/x000/x001/000", "tile/0/000.p/256"])
def test_2_a_name_in_a_second_spelling(path: str) -> None:
    with pytest.raises(InvalidFrame) as refusal:
        Tile.parse(path)
    assert refusal.value.check == 2


@given(
    path=st.one_of(st.text(max_size=80), st.from_regex(r"\Atile/(\d\d?|entries)/(x\d{3}/){0,5}\d{3}(\.p/\d{1,3})?\Z"))
)
def test_whatever_is_read_is_written_the_same(path: str) -> None:
    with suppress(InvalidFrame):
        assert str(Tile.parse(path)) == path


@pytest.mark.parametrize("wrong", [(-1, 0), (5, 0), (0, -1), (0, 0, 0), (0, 0, 257), (0, 2**32 - 1), (4, 1, 1)])
def test_a_tile_that_no_log_has(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no tile"):
        Tile(*wrong)


def test_the_files_of_the_specification_s_example() -> None:
    """C2SP tlog-tiles: 70,000 entries are 273 full tiles, one of 112, one full above, one of 17, and one of 1."""
    found = list(tiles(70_000))

    assert sum(tile.level == 0 and tile.width == TILE_WIDTH for tile in found) == 273
    assert [tile for tile in found if tile.level or tile.width < TILE_WIDTH] == [
        Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)
    ]  # fmt: skip
    assert list(tiles(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(bundles(70_000))[-2:] == [Tile(None, 272), Tile(None, 273, 112)]
    assert list(tiles(0)) == list(bundles(0)) == []


@pytest.mark.parametrize(("old", "new"), [(0, 300), (1, 1), (5, 300), (256, 300), (300, 512), (65_535, 65_536)])
def test_what_a_growing_log_adds(old: int, new: int) -> None:
    assert set(tiles(new, old)) == set(tiles(new)) - set(tiles(old))
    assert set(bundles(new, old)) == set(bundles(new)) - set(bundles(old))


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 65_535, 65_536, 65_537, LARGEST])
def test_the_tiles_of_every_size_lead_to_its_root(size: int) -> None:
    check_tiles(size, TREE.root(size), lambda tile: write_tile(TREE, tile))


def test_a_hash_above_is_the_root_of_the_tile_below() -> None:
    above = read_tile(write_tile(TREE, Tile(1, 1, 17)), Tile(1, 1, 17))

    assert above == [merkle.root(LEAVES[256 * at : 256 * (at + 1)]) for at in range(256, 273)]


def test_a_tile_of_a_smaller_log_is_the_beginning_of_the_larger() -> None:
    full = write_tile(TREE, Tile(0, 7))

    assert len(full) == TILE_BYTES
    for width in range(1, TILE_WIDTH):
        assert write_tile(TREE, Tile(0, 7, width)) == full[: 32 * width]


@pytest.mark.parametrize(
    "tile", [Tile(0, 273), Tile(0, 273, 113), Tile(0, 274, 1), Tile(1, 1, 18), Tile(2, 0, 2), Tile(3, 0, 1)]
)
def test_a_tile_that_the_log_has_not_yet(tile: Tile) -> None:
    assert tile.end > LARGEST
    with pytest.raises(ValueError, match="subtrees"):
        write_tile(TREE, tile)


def test_a_bundle_is_no_tile() -> None:
    with pytest.raises(ValueError, match="entry bundle"):
        write_tile(TREE, Tile(None, 0, 1))


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(63), bytes(96)])
def test_3_a_tile_of_another_width(data: bytes) -> None:
    with pytest.raises(InvalidFrame) as refusal:
        read_tile(data, Tile(0, 0, 2))
    assert refusal.value.check == 3


@pytest.mark.parametrize("count", [1, 2, 255, 256])
def test_a_bundle_comes_back(count: int) -> None:
    leaves = [entry(number) for number in range(count)]
    data = write_bundle(leaves)

    assert data[:2] == b"\x01\x60"
    assert read_bundle(data, Tile(None, 0, count)) == leaves
    assert len(data) <= BUNDLE_BYTES == 90_624


@pytest.mark.parametrize("count", [0, 257])
def test_a_bundle_is_written_of_so_many_leaves(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 256 leaves"):
        write_bundle([entry(0)] * count)


def _change(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[: 354 * 2],
        lambda data: data + data[:354],
        lambda data: _change(data, 0),
        lambda data: _change(data, 1),
        lambda data: _change(data, 354),
        lambda data: _change(data, 709),
    ],
)
def test_4_a_bundle_of_another_form(change: Callable[[bytes], bytes]) -> None:
    data = write_bundle([entry(number) for number in range(3)])

    with pytest.raises(InvalidFrame) as refusal:
        read_bundle(change(data), Tile(None, 0, 3))
    assert refusal.value.check == 4


def test_5_an_entry_that_its_tile_does_not_tell() -> None:
    leaves = [entry(number) for number in range(3)]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    check_bundle(leaves, hashes, Tile(None, 4, 3))

    with pytest.raises(InvalidProof, match="entry 1025") as refusal:
        check_bundle([leaves[0], entry(9), leaves[2]], hashes, Tile(None, 4, 3))
    assert refusal.value.check == 5


def _with_one_bit_changed(broken: Tile) -> Callable[[Tile], bytes]:
    def read(tile: Tile) -> bytes:
        data = write_tile(TREE, tile)
        return _change(data, 33) if tile == broken else data

    return read


@pytest.mark.parametrize("broken", [Tile(0, 1), Tile(0, 255), Tile(1, 0), Tile(1, 1, 17)])
def test_6_a_tile_that_does_not_fit_the_one_above(broken: Tile) -> None:
    with pytest.raises(InvalidProof) as refusal:
        check_tiles(LARGEST, TREE.root(), _with_one_bit_changed(broken))
    assert refusal.value.check == 6


def test_7_a_change_at_the_edge() -> None:
    with pytest.raises(InvalidProof) as refusal:
        check_tiles(LARGEST, TREE.root(), _with_one_bit_changed(Tile(0, 273, 112)))
    assert refusal.value.check == 7

    with pytest.raises(Invalid):
        check_tiles(LARGEST, TREE.root(LARGEST - 1), lambda tile: write_tile(TREE, tile))
