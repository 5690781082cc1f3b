"""Evidence on disk: what is written is read again, and nothing else is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tallynet.audit.evidence import NOTHING_ANCHORED, describe_fault, promise_of
from tallynet.audit.evidence_file import (
    MAX_EVIDENCE_BYTES,
    Evidence,
    check_domain,
    decode_evidence,
    encode_evidence,
    evidence_of,
    read_evidence,
    write_evidence,
)
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidEvidence, Misconfigured
from tallynet.protocol.fault import Fault, Fork, LateAnchor, NotAPrefix, TwoPromises, WrongLeaf, check_fault
from tallynet.protocol.units import Digest
from tests.audit.examples import DOMAIN, NODE, ExampleNode
from tests.audit.suspects import signed

HASHES = tuple(Digest(bytes([number]) * 32) for number in range(63))


def faults() -> list[Fault]:
    node = ExampleNode()
    first, second = promise_of(node.run().receipt), promise_of(node.run().receipt)
    return [
        LateAnchor(node=NODE.address, promise=first),
        WrongLeaf(node=NODE.address, promise=first, leaf_hash=HASHES[0], path=HASHES),
        TwoPromises(node=NODE.address, first=first, second=second),
        Fork(node=NODE.address, first=signed(3, HASHES[0]), second=signed(3, HASHES[1])),
        NotAPrefix(node=NODE.address, checkpoint=signed(3, HASHES[0]), true_root=HASHES[1], path=HASHES),
    ]


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: type(fault).__name__)
def test_every_kind_of_fault_is_written_and_read_again(fault: Fault, tmp_path: Path) -> None:
    path = tmp_path / "a.evidence"

    write_evidence(path, evidence_of(fault, DOMAIN))

    assert read_evidence(path) == Evidence(
        says=describe_fault(fault), chain_id=31_337, contract=f"0x{DOMAIN.contract.hex()}", fault=fault
    )
    assert path.stat().st_size < MAX_EVIDENCE_BYTES // 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.evidence"]


def test_it_is_json_that_people_can_read(tmp_path: Path) -> None:
    written = json.loads(encode_evidence(evidence_of(faults()[0], DOMAIN)))

    assert list(written) == ["format", "says", "chain_id", "contract", "fault"]
    assert written["says"].startswith(f"Node 0x{NODE.address.hex()} promised to anchor entry 0 by ")
    assert written["fault"]["kind"] == "late"


def _broken(change: Callable[[bytes], bytes]) -> bytes:
    return change(encode_evidence(evidence_of(faults()[3], DOMAIN)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"", "Input data was truncated"),
        (lambda data: data[:-1], "not written in the one way"),
        (lambda data: data + b"\n", "not written in the one way"),
        (lambda data: data.replace(b'"format"', b'"form"'), "unknown field"),
        (lambda data: data.replace(b"evidence@v1", b"evidence@v2"), "Invalid enum value"),
        (lambda data: data.replace(b'"fork"', b'"spoon"'), "Invalid value 'spoon'"),
        (lambda data: data.replace(b"31337", b"0"), "`int` >= 1"),
        (lambda data: data.replace(b"31337", b"31337e0"), "got `float`"),
        (lambda data: data.replace(b"0x00", b"0X00"), "matching regex"),
        (lambda data: data.replace(b'  "says"', b' "says"'), "not written in the one way"),
        (lambda data: data.replace(b'"size": 3', b'"size": -3'), "`int` >= 0"),
        (lambda data: data.replace(b'"size": 3', b'"size": 3, "size": 3'), "not written in the one way"),
        (lambda data: data.replace(b"Node", b"Node" + 600 * b"!"), "length <= 512"),
        (lambda data: data.replace(b"Node", b"\xff"), "can't decode byte 0xff"),
        (lambda data: b"[" * 5000, "Expected `object`"),
        (lambda data: b" " * (MAX_EVIDENCE_BYTES + 1), "more than 65536 bytes"),
    ],
)
def test_nothing_else_is_read(change: Callable[[bytes], bytes], words: str) -> None:
    with pytest.raises(InvalidEvidence, match="this is no evidence file") as refusal:
        decode_evidence(_broken(change))

    assert refusal.value.check == 1
    assert words in refusal.value.message


def test_no_changed_byte_of_a_fault_convicts() -> None:
    node = ExampleNode()
    first, second = promise_of(node.run().receipt), promise_of(node.run().receipt)
    fault = TwoPromises(node=NODE.address, first=first, second=second)
    data = encode_evidence(evidence_of(fault, DOMAIN))
    for at in range(data.index(b'"fault"'), len(data), 7):
        try:
            found = decode_evidence(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(InvalidEvidence):
                check_fault(found.fault, found.domain, NOTHING_ANCHORED)
        except InvalidEvidence as error:
            assert error.check == 1, error


def test_another_network_is_named() -> None:
    evidence = evidence_of(faults()[0], DOMAIN)

    check_domain(evidence, DOMAIN)
    with pytest.raises(InvalidEvidence, match="on chain 31337, the network is contract 0x.* on chain 5") as refusal:
        check_domain(evidence, Domain(5, DOMAIN.contract))
    assert refusal.value.check == 2


def test_a_file_that_is_not_there_is_our_own_mistake(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_evidence(tmp_path / "none.evidence")


def test_a_folder_that_cannot_be_written_is_our_own_mistake(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        write_evidence(tmp_path / "none" / "a.evidence", evidence_of(faults()[0], DOMAIN))


def test_an_older_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.evidence"
    write_evidence(path, evidence_of(faults()[0], DOMAIN))
    write_evidence(path, evidence_of(faults()[3], DOMAIN))

    assert isinstance(read_evidence(path).fault, Fork)
