"""Signed notes and the checkpoint in one: chapter 5, checks (1) to (8), each broken alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Invalid, InvalidCheckpoint
from tallynet.protocol.keys import Key
from tallynet.protocol.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    NodeVerifier,
    Note,
    NoteSignature,
    checkpoint_text,
    read_checkpoint_note,
    read_key_note,
    read_note,
    verify_note,
    write_checkpoint_note,
    write_key_note,
)
from tallynet.protocol.note_key import Ed25519Verifier, NoteKey, NoteKeyStatement, key_id, log_origin, read_origin
from tallynet.protocol.units import Address
from tests.protocol.examples import DOMAIN, NODE, STRANGER, digest, valid_checkpoint, valid_signed_checkpoint

VALID = valid_checkpoint()
NOTE = write_checkpoint_note(VALID, DOMAIN, NODE)
KEY_NOTE = write_key_note(DOMAIN, NODE)
NOTE_KEY = NoteKey.of(NODE).public
ORIGIN = log_origin(DOMAIN, NODE.address)
TEXT = checkpoint_text(valid_checkpoint(), DOMAIN, NODE.address)
WITNESS = NoteKey(digest("witness"))
ELSEWHERE = Domain(1, DOMAIN.contract)


def refused(number: int, note: bytes | str, note_key: bytes | None = NOTE_KEY) -> None:
    with pytest.raises(InvalidCheckpoint) as refusal:
        read_checkpoint_note(note, DOMAIN, NODE.address, note_key)
    assert refusal.value.check == number


def cosigned(text: str, *lines: NoteSignature) -> str:
    return str(Note(text, lines))


def witness_line(name: str = "witness.example", text: str = TEXT) -> NoteSignature:
    return NoteSignature(name, Ed25519Verifier(name, WITNESS.public).key_id, WITNESS.sign(text.encode()))


def node_lines(checkpoint: Checkpoint = VALID, key: Key = NODE, domain: Domain = DOMAIN) -> list[str]:
    """The two signature lines that `key` writes under a checkpoint."""
    return write_checkpoint_note(checkpoint, domain, key).splitlines(keepends=True)[-2:]


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    assert read_checkpoint_note(NOTE, DOMAIN, NODE.address, NOTE_KEY) == valid_signed_checkpoint()
    assert read_checkpoint_note(NOTE.encode(), DOMAIN, NODE.address) == valid_signed_checkpoint()


def test_the_text_is_name_size_and_root() -> None:
    origin, size, root, empty, *lines = NOTE.splitlines()

    assert origin == f"tallynet/1337/0x{DOMAIN.contract.hex()}/0x{NODE.address.hex()}"
    assert (size, root, empty) == ("1094820", "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=", "")
    assert [line.rpartition(" ")[0] for line in lines] == [f"— {origin}"] * 2


def test_the_empty_log_has_a_checkpoint() -> None:
    empty = Checkpoint(0, digest("empty"))

    assert read_checkpoint_note(write_checkpoint_note(empty, DOMAIN, NODE), DOMAIN, NODE.address).checkpoint == empty


def test_an_example_of_the_specification_verifies() -> None:
    """C2SP signed-note, "Example": we read notes as everybody else writes them."""
    known = Ed25519Verifier.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    line = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="

    note = read_note(f"This is an example message.\n\n— example.com/foo {line}\n")

    assert verify_note(note, [known]) == [known]


def test_a_text_may_have_empty_lines() -> None:
    text = "one\n\ntwo\n\n\nthree\n"

    assert read_note(cosigned(text, witness_line(text=text))).text == text


def test_1_a_note_of_64_kilobytes_and_no_more() -> None:
    end = "\n\n" + str(witness_line())
    room = MAX_NOTE_BYTES - len(end.encode())

    assert len(read_note("x" * room + end).text) == room + 1
    with pytest.raises(InvalidCheckpoint) as refusal:
        read_note("x" * (room + 1) + end)
    assert refusal.value.check == 1


@pytest.mark.parametrize("bad", [b"\xff", b"\x00", b"\r", b"\t", b"\x1b", b"\x1f"])
def test_1_a_note_with_bytes_that_no_note_has(bad: bytes) -> None:
    refused(1, NOTE.encode().replace(b"\n", bad + b"\n", 1))


def test_1_a_text_that_utf8_cannot_hold() -> None:
    refused(1, NOTE.replace("\n", "\ud800\n", 1))


@pytest.mark.parametrize(
    "note",
    ["", "\n", "\n\n", TEXT, TEXT + "\n", NOTE[:-1], NOTE + "\n", NOTE.replace("\n\n", "\n"), TEXT + "\n\n"],
)
def test_2_a_note_without_its_parts(note: str) -> None:
    refused(2, note)


def test_2_sixteen_witnesses_are_read_and_a_crowd_is_not() -> None:
    witnesses = [str(witness_line(f"witness-{number}.example")) for number in range(16)]
    assert read_checkpoint_note(NOTE + "".join(witnesses), DOMAIN, NODE.address, NOTE_KEY) == valid_signed_checkpoint()

    refused(2, NOTE + "".join(witnesses[:1] * (MAX_SIGNATURES - 1)))


@pytest.mark.parametrize(
    "line",
    [
        "- x AAAAAAA=\n",
        "—x AAAAAAA=\n",
        "— \n",
        "— x\n",
        "— x \n",
        "—  AAAAAAA=\n",
        "— x  AAAAAAA=\n",
        "— x AAAAAAA= \n",
        "— x y AAAAAAA=\n",
        "— x+y AAAAAAA=\n",
        "— x\u00a0y AAAAAAA=\n",
        "— x\u2003 AAAAAAA=\n",
        "— x AAAAAA==\n",
        "— x AAAAAAA\n",
        "— x AAAAAAB=\n",
        "— x AAAA-_A=\n",
        "— x !AAAAAAA=\n",
    ],
)
def test_3_a_signature_line_of_another_form(line: str) -> None:
    refused(3, NOTE + line)


def test_4_a_known_key_that_does_not_verify_spoils_the_note() -> None:
    ed25519, secp256k1 = node_lines()
    other = Checkpoint(valid_checkpoint().size + 1, valid_checkpoint().root)
    for wrong in node_lines(other):
        right = secp256k1 if wrong.split()[2][:5] == ed25519.split()[2][:5] else ed25519
        refused(4, TEXT + "\n" + wrong + right)


def test_4_every_bit_of_both_signatures_counts() -> None:
    note = read_note(NOTE)
    for at, line in enumerate(note.signatures):
        for bit in range(0, 8 * len(line.signature), 3):
            flipped = bytearray(line.signature)
            flipped[bit // 8] ^= 1 << bit % 8
            lines = list(note.signatures)
            lines[at] = NoteSignature(line.name, line.key_id, bytes(flipped))
            refused(4, cosigned(note.text, *lines))


def test_4_a_signature_of_the_same_checkpoint_of_another_chain() -> None:
    ed25519, secp256k1 = node_lines(domain=ELSEWHERE)
    moved = (line.replace("tallynet/1/", "tallynet/1337/") for line in (ed25519, secp256k1))

    refused(5, TEXT + "\n" + "".join(moved))


def test_5_a_note_signed_by_others_alone() -> None:
    refused(5, cosigned(TEXT, witness_line()))
    refused(5, TEXT + "\n" + "".join(node_lines(key=STRANGER)))


@pytest.mark.parametrize(
    "size", ["01094820", "+1094820", " 1094820", "1_094_820", "", "-1", "1094820.0", "١", str(2**40)]
)
def test_6_a_size_in_another_spelling(size: str) -> None:
    refused(6, NOTE.replace("1094820", size, 1))


@pytest.mark.parametrize("root", ["", "AAAA", "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7J=", "x" * 44])
def test_6_a_root_in_another_spelling(root: str) -> None:
    refused(6, NOTE.replace("SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=", root, 1))


def test_6_lines_that_no_signature_of_the_node_covers() -> None:
    refused(6, NOTE.replace("\n\n", "\nextension\n\n", 1))
    refused(6, NOTE.replace("1094820\n", "", 1))


def test_6_a_checkpoint_of_another_log() -> None:
    refused(6, write_checkpoint_note(valid_checkpoint(), DOMAIN, STRANGER))
    refused(6, write_checkpoint_note(valid_checkpoint(), ELSEWHERE, NODE))


def test_8_the_note_key_alone_is_not_enough() -> None:
    ed25519, secp256k1 = node_lines()

    refused(8, TEXT + "\n" + ed25519)
    refused(8, TEXT + "\n" + secp256k1)
    refused(5, TEXT + "\n" + ed25519, None)
    assert read_checkpoint_note(TEXT + "\n" + secp256k1, DOMAIN, NODE.address) == valid_signed_checkpoint()


def test_8_the_same_line_twice() -> None:
    refused(8, NOTE + node_lines()[1])


def test_the_published_note_key_is_the_nodes() -> None:
    assert read_key_note(KEY_NOTE, DOMAIN, NODE.address) == NOTE_KEY
    vkey = KEY_NOTE.splitlines()[0]
    assert Ed25519Verifier.parse(vkey) == Ed25519Verifier(ORIGIN, NOTE_KEY)


def test_a_note_key_that_the_node_did_not_sign() -> None:
    for number, note in (
        (7, write_key_note(DOMAIN, STRANGER)),
        (7, write_key_note(ELSEWHERE, NODE)),
        (7, KEY_NOTE.replace("+AS", "+AT", 1)),
        (7, "x" + KEY_NOTE),
        (7, NOTE),
        (8, "\n".join(KEY_NOTE.split("\n")[:3]) + "\n"),
        (4, KEY_NOTE.replace(KEY_NOTE.splitlines()[3], NOTE.splitlines()[5])),
    ):
        with pytest.raises(InvalidCheckpoint) as refusal:
            read_key_note(note, DOMAIN, NODE.address)
        assert refusal.value.check == number, note


def test_a_key_note_is_no_checkpoint() -> None:
    refused(6, KEY_NOTE)


def test_the_note_key_is_another_for_every_node_and_always_the_same() -> None:
    assert NoteKey.of(NODE).public == NOTE_KEY != NoteKey.of(STRANGER).public
    assert NODE.secret.hex() not in repr(NoteKey.of(NODE))


def test_the_statement_of_a_note_key_is_bound_to_its_chain() -> None:
    assert NoteKeyStatement(NOTE_KEY).digest(DOMAIN) != NoteKeyStatement(NOTE_KEY).digest(ELSEWHERE)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
    ],
)
def test_a_verifier_key_that_is_none(vkey: str) -> None:
    with pytest.raises(InvalidCheckpoint):
        Ed25519Verifier.parse(vkey)


def test_the_node_s_key_id_names_algorithm_and_address() -> None:
    node = NodeVerifier(DOMAIN, NODE.address)

    assert node.key_id == key_id(ORIGIN, b"\xfftallynet-secp256k1-eip712-v1" + NODE.address)


def test_a_log_s_name_tells_chain_contract_and_node() -> None:
    assert read_origin(ORIGIN) == (DOMAIN, NODE.address)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "example.com/log",
        ORIGIN + "/",
        ORIGIN + "\n",
        ORIGIN.upper(),
        ORIGIN.replace("1337", "01337"),
        ORIGIN.replace("1337", "0"),
        ORIGIN.replace("1337", str(2**64)),
        ORIGIN.replace("0x", "", 1),
        ORIGIN[:-1],
    ],
)
def test_a_name_of_no_log_of_ours(name: str) -> None:
    with pytest.raises(InvalidCheckpoint):
        read_origin(name)


@given(note=st.one_of(st.binary(max_size=400), st.text(max_size=400)))
def test_whatever_comes_raises_nothing_but_invalid(note: bytes | str) -> None:
    with pytest.raises(Invalid):
        read_checkpoint_note(note, DOMAIN, NODE.address, NOTE_KEY)


@given(at=st.integers(0, len(NOTE.encode()) - 1), byte=st.integers(0, 255))
def test_every_byte_of_a_note_counts(at: int, byte: int) -> None:
    """Changed anywhere, a note is refused, or still says the same by the same signatures."""
    changed = bytearray(NOTE.encode())
    changed[at] = byte
    try:
        read = read_checkpoint_note(bytes(changed), DOMAIN, NODE.address, NOTE_KEY)
    except Invalid:
        return
    assert changed == NOTE.encode() and read == valid_signed_checkpoint()


def test_addresses_in_names_are_lower_case() -> None:
    domain, node = Domain(1, Address(b"\xab" * 20)), Address(b"\xcd" * 20)

    assert log_origin(domain, node) == f"tallynet/1/0x{'ab' * 20}/0x{'cd' * 20}"
