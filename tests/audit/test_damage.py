"""After any one byte of a bundle is changed, it is refused, and the check that fails is the right one."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tallynet.audit.verdict import Verdict
from tallynet.audit.verify import verify_offline
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.errors import InvalidCheckpoint
from tallynet.protocol.note import NoteSignature, read_checkpoint_note, read_note
from tallynet.protocol.note_key import NoteKey
from tallynet.protocol.units import Digest
from tests.audit.examples import DOMAIN, NODE, bundle
from tests.audit.forging import change_anchor, change_proof, inclusion, packed_of, swap_packed

VALID = bundle()
TEXT = write_bundle(VALID).encode()
CHECKPOINT = inclusion(VALID).proof.checkpoint

BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NEIGHBOURS = dict(zip(BASE64, BASE64[1:] + b"A", strict=True)) | dict(zip(b"0123456789", b"1234567890", strict=True))
"""Another byte that stands for a value, so that the line keeps its form."""
HEX_NEIGHBOURS = dict(zip(b"0123456789abcdef", b"123456789abcdef0", strict=True))


def _changes(at: int) -> Iterator[bytes]:
    """The file with byte `at` changed: every single bit, a neighbouring letter, a space and a line's end."""
    old = TEXT[at]
    others = {old ^ 1 << bit for bit in range(8)} | {NEIGHBOURS.get(old, old ^ 1), 0x20, 0x0A, 0x3D}
    for new in others - {old}:
        yield TEXT[:at] + bytes([new]) + TEXT[at + 1 :]


def test_the_untouched_bundle_holds() -> None:
    assert verify_offline(TEXT).verdict is Verdict.OK


@pytest.mark.slow
def test_any_one_byte_changed_is_refused() -> None:
    for at in range(len(TEXT)):
        for damaged in _changes(at):
            found = verify_offline(damaged)
            assert found.verdict is Verdict.FAILED, damaged[at - 20 : at + 20]
            assert found.failure is not None and found.failure.message


@pytest.mark.slow
@pytest.mark.parametrize(("label", "checks"), [("leaf", {1, 3, 4, 6, 7, 8}), ("receipt", {1, 8}), ("job", {1, 3})])
def test_any_bit_flipped_in_what_is_signed_is_refused_though_the_file_was_written_anew(
    label: str, checks: set[int]
) -> None:
    assert _checks_failed_sealed(label, packed_of(TEXT, label)) == checks


def test_any_bit_flipped_in_the_path_is_refused_though_the_file_was_written_anew() -> None:
    path = inclusion(VALID).proof.path
    for flipped in _flips(b"".join(path)):
        hashes = tuple(Digest(flipped[at : at + 32]) for at in range(0, len(flipped), 32))
        found = verify_offline(write_bundle(change_proof(VALID, path=hashes)).encode())

        assert found.failure is not None and found.failure.check == 9


def test_any_bit_flipped_in_the_checkpoint_is_refused_though_the_file_was_written_anew() -> None:
    root = inclusion(VALID).anchor.root
    for flipped in _flips(root):
        note = CHECKPOINT.replace(b64encode(root).decode(), b64encode(flipped).decode())
        broken = change_anchor(change_proof(VALID, checkpoint=note), root=Digest(flipped))
        failure = verify_offline(write_bundle(broken).encode()).failure

        assert failure is not None and failure.check == 9


def test_any_bit_flipped_in_the_node_s_signature_of_the_checkpoint_is_refused() -> None:
    note = read_note(CHECKPOINT)
    by_note_key, signature = note.signatures
    for flipped in _flips(signature.key_id + signature.signature):
        changed = NoteSignature(signature.name, flipped[:4], flipped[4:])
        checkpoint = str(replace(note, signatures=(by_note_key, changed)))
        failure = verify_offline(write_bundle(change_proof(VALID, checkpoint=checkpoint)).encode()).failure

        assert failure is not None and failure.check == 9


def test_any_bit_flipped_in_the_note_key_s_signature_is_refused_by_whoever_knows_the_note_key() -> None:
    note, signature = read_note(CHECKPOINT), read_note(CHECKPOINT).signatures[0]
    for flipped in _flips(signature.key_id + signature.signature):
        changed = replace(
            note, signatures=(NoteSignature(signature.name, flipped[:4], flipped[4:]), note.signatures[1])
        )
        with pytest.raises(InvalidCheckpoint):
            read_checkpoint_note(str(changed), DOMAIN, NODE.address, NoteKey.of(NODE).public)


def _flips(data: bytes) -> Iterator[bytes]:
    """The data with each of its bits flipped in turn."""
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def _checks_failed_sealed(label: str, data: bytes) -> set[int | None]:
    """Which checks fail when one bit of a line changes, and the second line with it."""
    failed = set()
    for flipped in _flips(data):
        failure = verify_offline(swap_packed(TEXT, label, flipped)).failure
        assert failure is not None
        failed.add(failure.check)
    return failed


def test_any_one_byte_left_out_or_doubled_is_refused() -> None:
    for at in range(len(TEXT)):
        for damaged in (TEXT[:at] + TEXT[at + 1 :], TEXT[:at] + TEXT[at : at + 1] + TEXT[at:]):
            if damaged == TEXT:
                continue
            assert verify_offline(damaged).verdict is Verdict.FAILED


def test_any_beginning_of_the_file_is_refused() -> None:
    for length in range(len(TEXT)):
        assert verify_offline(TEXT[:length]).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("label", "checks"),
    [
        ("sha256", {1, 10}),  # 1: the last letter before the padding holds unused bits
        ("chain", {1}),  # the checkpoint's origin names chain, contract and node too
        ("contract", {1}),
        ("node", {1}),
        ("leaf", {1, 3, 4, 6, 7, 8}),
        ("job", {1, 3}),
        ("receipt", {1, 8}),
        ("anchor", {1, 10}),
        ("secret", {1, 5}),
        ("request", {5}),
        ("prompt", {1, 6}),
        ("chunk", {1, 6, 7}),
        ("index", {9}),
    ],
)
def test_a_changed_value_fails_its_own_check(label: str, checks: set[int]) -> None:
    assert _checks_failed(*_value_of(label)) == checks


@pytest.mark.parametrize(("label", "check"), [("chain", 3), ("contract", 3), ("node", 8)])
def test_without_an_anchor_the_signatures_hold_the_network_and_the_node(label: str, check: int) -> None:
    pending = write_bundle(replace(VALID, inclusion=None)).encode()

    assert _checks_failed(*_value_of(label, pending), pending) == {check}


def test_a_changed_hash_of_the_path_fails_the_inclusion() -> None:
    begin = TEXT.index(b"\n", TEXT.index(b"\nindex ") + 1) + 1

    assert _checks_failed(begin, TEXT.index(b"\n\n", begin)) == {1, 9}


def test_a_changed_checkpoint_fails_as_another_log_or_as_not_signed() -> None:
    begin = TEXT.index(b"\ntallynet/") + 1
    origin, size, root, _ = TEXT[begin:].split(b"\n", 3)
    after_origin = begin + len(origin) + 1
    after_size = after_origin + len(size) + 1

    assert _checks_failed(begin, after_origin) == {1}
    assert _checks_failed(after_origin, after_size) == {9}
    assert _checks_failed(after_size, after_size + len(root)) == {1, 9}


def test_a_changed_signature_of_the_checkpoint_is_found() -> None:
    """The node's own by its key; that of the note key, which no reader of a bundle knows, by the second line."""
    note_key, node_key, _ = TEXT[TEXT.index("— ".encode()) :].split(b"\n")
    at = TEXT.index(note_key)

    assert _checks_failed(at + note_key.rindex(b" ") + 1, at + len(note_key)) == {1, 10}
    at = TEXT.index(node_key)
    assert _checks_failed(at + node_key.rindex(b" ") + 1, at + len(node_key)) == {9}


def _value_of(label: str, text: bytes = TEXT) -> tuple[int, int]:
    """Where the value of the first line with that label begins and ends."""
    begin = text.index(b"\n" + label.encode() + b" ") + len(label) + 2
    return begin, text.index(b"\n", begin)


def _checks_failed(begin: int, end: int, text: bytes = TEXT) -> set[int | None]:
    """Which checks fail when one byte of these changes and the line keeps its form."""
    neighbours = HEX_NEIGHBOURS if text[begin : begin + 2] == b"0x" else NEIGHBOURS
    failed = set()
    for at in range(begin, end):
        if text[at] in neighbours and text[at - 1 : at + 1] != b" 0":
            failure = verify_offline(text[:at] + bytes([neighbours[text[at]]]) + text[at + 1 :]).failure
            assert failure is not None
            failed.add(failure.check)
    return failed
