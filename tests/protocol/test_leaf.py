"""The leaf: 352 bytes, every field in its place, nothing unknown let in."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.protocol import merkle
from tallynet.protocol.errors import InvalidReceipt
from tallynet.protocol.leaf import LEAF_BYTES, MAX_TIME, Kind, Leaf, Status
from tallynet.protocol.units import Milliseconds
from tests.protocol.examples import valid_leaf

LEAF = valid_leaf()
PACKED = LEAF.pack()

bytes32 = st.binary(min_size=32, max_size=32)
counts = st.sampled_from([0, 1, 2**31, 2**32 - 1])
times = st.sampled_from([0, 1, 2**32, MAX_TIME - 1]).map(Milliseconds)
leaves = st.builds(
    Leaf,
    job=bytes32,
    client=st.binary(min_size=20, max_size=20),
    model=bytes32,
    runtime=bytes32,
    params=bytes32,
    request=bytes32,
    output=bytes32,
    prompt_tokens=counts,
    completion_tokens=counts,
    price=st.sampled_from([0, 1, 2**63, 2**64, 2**128 - 1]),
    started=times,
    ended=times,
    status=st.sampled_from(Status),
    trace=bytes32,
    client_signature=st.binary(min_size=65, max_size=65),
    kind=st.sampled_from(Kind),
)


def test_a_leaf_has_352_bytes() -> None:
    assert LEAF_BYTES == len(PACKED) == 352


@settings(max_examples=200)
@given(leaf=leaves)
def test_a_packed_leaf_is_read_as_it_was_at_every_extreme(leaf: Leaf) -> None:
    assert Leaf.unpack(leaf.pack()) == leaf


@given(data=st.binary(min_size=LEAF_BYTES - 2, max_size=LEAF_BYTES - 2))
def test_whatever_is_read_packs_into_the_same_bytes(data: bytes) -> None:
    packed = b"\x01\x01" + data
    try:
        leaf = Leaf.unpack(packed)
    except InvalidReceipt as refusal:
        assert refusal.check == 2
    else:
        assert leaf.pack() == packed


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Leaf) if field.name != "kind"])
def test_every_field_decides_the_hash(field: str) -> None:
    value: Any = getattr(LEAF, field)
    other = Status.LENGTH if field == "status" else bytes(len(value)) if isinstance(value, bytes) else value + 1
    changes: dict[str, Any] = {field: other}

    assert dataclasses.replace(LEAF, **changes).hash != LEAF.hash


def test_the_hash_is_that_of_rfc_9162() -> None:
    assert LEAF.hash == merkle.leaf_hash(PACKED)


@pytest.mark.parametrize("length", [0, 1, 351, 353, 704])
def test_a_leaf_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidReceipt) as refusal:
        Leaf.unpack((PACKED * 2)[:length])
    assert refusal.value.check == 1


@pytest.mark.parametrize(
    ("place", "known"), [(0, {1}), (1, set(Kind)), (254, set(Status))], ids=["version", "kind", "status"]
)
def test_only_known_versions_kinds_and_statuses_are_read(place: int, known: set[int]) -> None:
    for number in range(256):
        data = PACKED[:place] + bytes([number]) + PACKED[place + 1 :]
        if number in known:
            assert Leaf.unpack(data).pack() == data
            continue
        with pytest.raises(InvalidReceipt) as refusal:
            Leaf.unpack(data)
        assert refusal.value.check == 2
        assert str(number) in refusal.value.message


@pytest.mark.parametrize("field", ["started", "ended"])
def test_a_time_that_no_calendar_can_show_is_refused(field: str) -> None:
    for time in (MAX_TIME, 2**64 - 1):
        late: dict[str, Any] = {field: time}
        with pytest.raises(InvalidReceipt) as refusal:
            Leaf.unpack(dataclasses.replace(LEAF, **late).pack())
        assert refusal.value.check == 2


def test_the_order_of_the_times_is_judged_elsewhere() -> None:
    leaf = valid_leaf(ended=Milliseconds(LEAF.started - 5))

    assert Leaf.unpack(leaf.pack()) == leaf


def test_the_model_s_own_ends_are_told_from_the_cuts() -> None:
    assert [status.name for status in Status if status.finished] == ["EOS", "LENGTH", "STOP"]
