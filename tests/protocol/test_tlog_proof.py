"""C2SP tlog-proof: one form, chapter 6, checks (1) to (6), each broken alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.errors import InvalidProof
from tallynet.protocol.merkle import MAX_PATH, MAX_SIZE
from tallynet.protocol.note import write_checkpoint_note
from tallynet.protocol.note_key import encode_base64, log_origin
from tallynet.protocol.tlog_proof import MAGIC, MAX_PROOF_BYTES, Head, TlogProof, read_proof, write_proof
from tallynet.protocol.units import Digest
from tests.protocol.examples import DOMAIN, NODE, digest

PATH = (digest("left"), digest("right"))
NOTE = write_checkpoint_note(Checkpoint(109_482, digest("root")), DOMAIN, NODE)
VALID = TlogProof(73_894, PATH, NOTE)
TEXT = write_proof(VALID)
LEFT = encode_base64(PATH[0])


def test_the_text_is_that_of_the_c2sp_format() -> None:
    assert f"c2sp.org/tlog-proof@v1\nindex 73894\n{LEFT}\n{encode_base64(PATH[1])}\n\n{NOTE}" == TEXT


def test_what_is_written_is_read() -> None:
    assert read_proof(TEXT.encode()) == VALID


def test_the_head_is_that_of_the_checkpoint() -> None:
    assert VALID.head == Head(log_origin(DOMAIN, NODE.address), 109_482, digest("root"))


def test_a_log_of_one_entry_has_a_proof_without_hashes() -> None:
    alone = TlogProof(0, (), write_checkpoint_note(Checkpoint(1, digest("leaf")), DOMAIN, NODE))

    assert read_proof(write_proof(alone).encode()) == alone


def test_the_longest_path_and_the_largest_index_are_read() -> None:
    longest = TlogProof(MAX_SIZE - 1, (digest("hash"),) * MAX_PATH, NOTE)

    assert read_proof(write_proof(longest).encode()) == longest


def test_a_witness_may_have_signed_too() -> None:
    seen = TlogProof(7, PATH, NOTE + "\N{EM DASH} witness.example AAAAAAA=\n")

    assert read_proof(write_proof(seen).encode()) == seen


@pytest.mark.parametrize(
    ("text", "check", "words"),
    [
        (TEXT + "x" * MAX_PROOF_BYTES, 1, f"over {MAX_PROOF_BYTES}"),
        ("", 2, "it begins with ''"),
        (TEXT.replace("@v1", "@v2"), 2, "tlog-proof@v2"),
        (TEXT.replace("\n", "\r\n"), 2, "holds no checkpoint"),
        (TEXT.partition("\n\n")[0] + "\n", 2, "holds no checkpoint"),
        (f"{MAGIC}\n\n{NOTE}", 2, "holds no checkpoint"),
        (TEXT.replace("\nindex", "\nextra AAAA\nindex"), 3, "'extra AAAA', not an index"),
        (TEXT.replace("index 73894", "index 073894"), 3, "not an index"),
        (TEXT.replace("index 73894", "index +73894"), 3, "not an index"),
        (TEXT.replace("index 73894", "index -1"), 3, "not an index"),
        (TEXT.replace("index 73894", "index \N{ARABIC-INDIC DIGIT SEVEN}"), 3, "not an index"),
        (TEXT.replace("index 73894", f"index {MAX_SIZE}"), 3, "not an index"),
        (TEXT.replace("index 73894", "index 73894 "), 3, "not an index"),
        (TEXT.replace("index 73894", "Index 73894"), 3, "not an index"),
        (TEXT.replace(LEFT, "AAAA"), 4, "'AAAA' is not 32 bytes"),
        (TEXT.replace(LEFT, LEFT + " "), 4, "in the one base64 form"),
        (TEXT.replace(LEFT, LEFT.rstrip("=")), 4, "in the one base64 form"),
        (TEXT.replace(LEFT, LEFT[:-2] + chr(ord(LEFT[-2]) + 1) + "="), 4, "in the one base64 form"),
        (TEXT.replace(LEFT, f"{LEFT}\n{LEFT}\n" + "\n".join([LEFT] * MAX_PATH)), 5, f"hashes, over {MAX_PATH}"),
        (TEXT + "\n", 6, "no 1 to 64 signature lines"),
        (TEXT[:-1], 6, "no 1 to 64 signature lines"),
        (TEXT[: TEXT.index("\N{EM DASH}")], 6, "no 1 to 64 signature lines"),
        (TEXT.replace("\N{EM DASH}", "-"), 6, "signature line of the note has another form"),
        (TEXT.replace("\n109482\n", "\n0109482\n"), 6, "its checkpoint begins with"),
        (TEXT.replace("\n109482\n", f"\n{MAX_SIZE}\n"), 6, "its checkpoint begins with"),
        (TEXT.replace("\n109482\n", "\n109482\nmore\n"), 6, "its checkpoint begins with"),
        (TEXT.replace("\n109482\n", "\n"), 6, "its checkpoint begins with"),
        (TEXT.replace("\ntallynet/", "\n\ntallynet/"), 6, "its checkpoint begins with"),
        (TEXT.replace(encode_base64(digest("root")), "AAAA"), 4, "'AAAA' is not 32 bytes"),
    ],
)
def test_another_form_is_refused(text: str, check: int, words: str) -> None:
    with pytest.raises(InvalidProof, match="not a tlog-proof") as caught:
        read_proof(text.encode())

    assert caught.value.check == check
    assert words in caught.value.message


def test_what_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidProof, match="not UTF-8") as caught:
        read_proof(TEXT.encode().replace(b"index", b"inde\xff"))

    assert caught.value.check == 1


def test_a_proof_made_by_hand_tells_of_no_head_without_a_checkpoint() -> None:
    with pytest.raises(InvalidProof, match="its checkpoint cannot be read"):
        _ = TlogProof(0, (), "nothing").head


@given(st.binary(max_size=300))
def test_no_bytes_after_the_first_line_break_the_reader(data: bytes) -> None:
    with pytest.raises(InvalidProof):
        read_proof(f"{MAGIC}\n".encode() + data)


@given(st.integers(0, MAX_SIZE - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PATH))
def test_every_index_and_path_comes_back(index: int, path: list[bytes]) -> None:
    proof = TlogProof(index, tuple(map(Digest, path)), NOTE)

    assert read_proof(write_proof(proof).encode()) == proof
