"""A bundle has one form, and each part of it is held by something."""

import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.bundle import (
    MAX_BUNDLE_BYTES,
    AnchorRef,
    Bundle,
    Inclusion,
    attach_anchor,
    parse_bundle,
    read_bundle,
    write_bundle,
)
from tallynet.protocol.bundle_checks import NAMES, CheckResult, State, verify_bundle
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.commitment import commit_request, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle, InvalidCheckpoint, InvalidProof
from tallynet.protocol.job import SignedJob, sign_job
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle import node_hash
from tallynet.protocol.note import write_checkpoint_note
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.request import Request, encode_request
from tallynet.protocol.tlog_proof import TlogProof
from tallynet.protocol.units import Address, Digest, Milliseconds, Seconds, Wei
from tests.audit.examples import CHUNKS, CLIENT, DOMAIN, NODE, STRANGER, ExampleNode, bundle
from tests.audit.forging import (
    change_anchor,
    change_chunk,
    change_head,
    change_job,
    change_leaf,
    change_opening,
    change_proof,
    change_receipt,
    inclusion,
    note,
    seal,
    swap,
    swap_packed,
    value_of,
    whole,
)

VALID = bundle()
OTHER = Digest(b"\x99" * 32)
TEXT = write_bundle(VALID)
LINES = TEXT.splitlines()


def test_what_is_written_is_read() -> None:
    assert read_bundle(TEXT) == VALID
    assert read_bundle(TEXT.encode()) == VALID


def test_a_bundle_without_an_anchor_is_written_and_read() -> None:
    pending = replace(VALID, inclusion=None)

    assert read_bundle(write_bundle(pending)) == pending


def test_a_bundle_of_an_answer_without_chunks_is_written_and_read() -> None:
    empty = ExampleNode().run(chunks=())

    assert read_bundle(write_bundle(empty)) == empty
    verify_bundle(empty)


def test_a_closed_bundle_is_written_and_read() -> None:
    closed = VALID.closed()

    assert read_bundle(write_bundle(closed)) == closed
    assert closed.opening is None


def test_a_short_run_has_a_small_bundle() -> None:
    assert len(TEXT.encode()) < 2_100


def test_logprobs_are_written_as_they_were_committed_to() -> None:
    precise = ExampleNode().run(chunks=[ChunkBody((1,), "a", (-0.1,))])  # -0.1 is no float32

    again = read_bundle(write_bundle(precise))

    assert whole(again).chunks[0].logprobs != (-0.1,)
    verify_bundle(again)


def _swap(label: str, value: str) -> str:
    return swap(TEXT.encode(), label, value.encode()).decode()


def _sealed(body: str) -> str:
    return seal(body.encode()).decode()


def _value(label: str) -> str:
    return value_of(TEXT.encode(), label).decode()


BODY = "\n".join([*LINES[2:], ""])
SECOND = LINES[1]
PROOF = TEXT[TEXT.index("c2sp.org/") :]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "first line"),
        (TEXT.replace("@v2", "@v1", 1), "first line"),
        ("tallynet-bundle@v2", "no end"),
        ("tallynet-bundle@v2\n", "should hold 'sha256'"),
        (TEXT[:-1], "no end"),
        (TEXT + "\n", "no 1 to 64 signature lines"),
        (TEXT + "note x\n", "signature line of the note"),
        (TEXT.replace("\n", "\r\n"), "first line"),
        (" " + TEXT, "first line"),
        ("\ufeff" + TEXT, "first line"),
        (TEXT.replace("chain ", "chain  "), "decimal number"),
        (_swap("chain", "031337"), "decimal number"),
        (_swap("chain", "+31337"), "decimal number"),
        (_swap("chain", "0"), "not within"),
        (_swap("chain", "9" * 30), "decimal number"),
        (_swap("chain", "1"), "its checkpoint is of another log than tallynet/1/0x"),
        (_swap("node", "0x" + "AB" * 20), "an address"),
        (_swap("node", "0xab"), "an address"),
        (_swap("leaf", "AAAA"), "'leaf' cannot be read"),
        (_swap("leaf", ""), "'leaf' cannot be read"),
        (_swap("secret", "AAAA"), "3 bytes, not 32"),
        (_swap("secret", "****"), "not base64"),
        (_swap("secret", "é"), "not base64"),
        (_swap("job", "AAAA"), "'job' cannot be read"),
        (_swap("job", ""), "'job' cannot be read"),
        (_swap("job", b64encode(b64decode(_value("job")) + b"\0").decode()), "1 bytes hold no 0 parents"),
        (_swap("receipt", "gA=="), "'receipt' cannot be read"),
        (_swap("prompt", "AAAAAQ=="), "announces 1 tokens"),
        (_swap("prompt", "/////w=="), "announces 4294967295 tokens"),
        (_swap("prompt", "AAAAAAA="), "after its tokens"),
        (_swap("chunk", "AAAAAAAA"), "cut short"),
        (_swap("chunk", "AAAAAP////8="), "cut short in its evidence"),
        (_swap("chunk", "AAAAAAAAAAD/"), "breaks its bounds: 'utf-8' codec"),
        (_swap("chunk", b64encode(struct.pack(">IIfI", 1, 7, 0.5, 0)).decode()), "<= 0.0 - at `$.logprobs[0]`"),
        (_swap("chunk", b64encode(struct.pack(">IIfI", 1, 7, float("nan"), 0)).decode()), "breaks its bounds"),
        (_swap("chunk", b64encode(struct.pack(">II2000x", 0, 2000)).decode()), "length <= 1024"),
        (_swap("chunk", b64encode(bytes(8) + b"x" * 20000).decode()), "length <= 16384"),
        (_swap("anchor", "12 1767229200"), "two numbers and two hashes"),
        (_swap("anchor", _value("anchor").replace("12 ", "012 ", 1)), "two numbers and two hashes"),
        (_swap("anchor", "12 1767229200 AAAA AAAA"), "3 bytes, not 32"),
        (_swap("anchor", _value("anchor").replace("12 ", "9007199254740992 ", 1)), "2**53 or more"),
        (_swap("index", "02"), "not an index"),
        (_sealed(BODY.replace(PROOF.split("\n")[2], "AAAA")), "not 32 bytes in the one base64 form"),
        (_swap("secret", _value("secret")[:-2] + "J="), "line 10 is not in the one form"),
        (_sealed(BODY.replace(f"anchor {_value('anchor')}\n", "")), "it has a proof and no anchor"),
        (_sealed(BODY[: BODY.index("\n\n") + 1]), "it has an anchor and no proof"),
        (_sealed(BODY.replace("\n\n", "\n", 1)), "comes after the last"),
        (TEXT.replace(SECOND + "\n", ""), "should hold 'sha256'"),
        (TEXT.replace(SECOND, SECOND[:-5]), "not base64"),
        (TEXT.replace(SECOND, "sha256 AAAA"), "3 bytes, not 32"),
    ],
)
def test_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidBundle, match="not a bundle") as caught:
        parse_bundle(text)

    assert caught.value.check == 1
    assert words in caught.value.message


def test_a_second_line_in_another_form_of_base64_is_refused() -> None:
    """The last letter before the padding holds two bits that say nothing; they must be 0."""
    text = TEXT.replace(SECOND, SECOND[:-2] + chr(ord(SECOND[-2]) + 1) + "=")

    with pytest.raises(InvalidBundle, match="line 2 is not in the one form") as caught:
        parse_bundle(text)

    assert caught.value.check == 1


def test_a_file_over_the_cap_is_refused_unread() -> None:
    with pytest.raises(InvalidBundle, match="more than"):
        parse_bundle(b"x" * (MAX_BUNDLE_BYTES + 1))


def test_a_bundle_over_the_cap_is_not_written() -> None:
    with pytest.raises(InvalidBundle, match="more than"):
        write_bundle(replace(VALID, opening=replace(whole(VALID), request=bytes(MAX_BUNDLE_BYTES))))


@given(st.binary(max_size=200))
def test_no_bytes_after_the_first_line_break_the_reader(data: bytes) -> None:
    with pytest.raises(InvalidBundle):
        parse_bundle(b"tallynet-bundle@v2\n" + data)


@pytest.mark.parametrize("label", ["leaf", "job", "receipt", "secret", "request", "prompt", "chunk"])
@given(data=st.binary(max_size=400))
def test_whatever_a_line_holds_it_is_refused_or_written_again_as_it_was(label: str, data: bytes) -> None:
    text = swap_packed(TEXT.encode(), label, data)
    try:
        found = read_bundle(text)
    except InvalidBundle as error:
        assert error.check == 1
    else:
        assert write_bundle(found).encode() == text


def test_a_changed_second_line_is_refused() -> None:
    damaged = TEXT.replace(SECOND, "sha256 " + ("A" if SECOND[7] != "A" else "B") + SECOND[8:])

    with pytest.raises(InvalidBundle, match="changed after it was written") as caught:
        read_bundle(damaged)

    assert caught.value.check == 10


def test_a_valid_bundle_passes_every_check() -> None:
    results = verify_bundle(VALID, DOMAIN)

    assert [result.number for result in results] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert all(result.state is State.OK for result in results)


def test_without_a_network_the_domain_is_not_compared() -> None:
    assert verify_bundle(VALID)[0].state is State.SKIPPED


def test_without_an_anchor_the_inclusion_is_pending() -> None:
    assert verify_bundle(replace(VALID, inclusion=None))[-1].state is State.PENDING


def test_a_closed_bundle_in_a_log_of_a_million_entries_has_at_most_2560_bytes() -> None:
    """The other entries are noise; every signature and every hash of the path is checked."""
    domain = Domain(11_155_111, Address(bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")))
    run, size, index = ExampleNode(domain=domain).run().closed(), 2**20, 873_894
    receipt = sign_receipt(Leaf.unpack(run.receipt.leaf), index, run.receipt.receipt.anchor_by, domain, NODE)
    path = [Digest(sha256(b"%d" % level).digest()) for level in range(20)]
    root = receipt.receipt.leaf
    for level, sibling in enumerate(path):
        root = node_hash(sibling, root) if index >> level & 1 else node_hash(root, sibling)
    anchor = AnchorRef(size, root, Seconds(1_767_229_200), 21_000_000, OTHER, OTHER)
    note = write_checkpoint_note(Checkpoint(size, root), domain, NODE)

    anchored = attach_anchor(replace(run, receipt=receipt), anchor, path, note)

    assert verify_bundle(anchored, domain)[-1] == CheckResult(9, NAMES[9], State.OK, f"leaf {index} of {size}")
    assert len(write_bundle(anchored).encode()) <= 2_560


# --- one thing broken at a time, by somebody who writes the file properly ----------------------------------


OTHER_DOMAIN = Domain(1, Address(b"\x01" * 20))
SIZE_6 = note(6, inclusion(VALID).anchor.root)
BY_STRANGER = STRANGER.sign(Digest(VALID.job.job.id(DOMAIN)))


@pytest.mark.parametrize(
    ("break_it", "check", "words"),
    [
        (lambda b: replace(b.closed(), domain=OTHER_DOMAIN, inclusion=None), 2, "chain 1, the network is contract"),
        (lambda b: change_job(b, max_price=Wei(7)), 3, "not signed by its client"),
        (lambda b: change_job(b, deadline=Milliseconds(7)), 3, "not signed by its client"),
        (lambda b: change_job(b, audit_consent=True), 3, "not signed by its client"),
        (lambda b: change_leaf(b, client=STRANGER.address), 3, "not signed by its client"),
        (lambda b: change_leaf(b, model=OTHER), 3, "not signed by its client"),
        (lambda b: change_leaf(b, request=OTHER), 3, "not signed by its client"),
        (lambda b: change_leaf(b, client_signature=BY_STRANGER), 3, "not signed by its client"),
        (lambda b: change_leaf(b, job=OTHER), 4, "leaf's job is"),
        (lambda b: change_leaf(b, params=OTHER), 4, "leaf's parameters is"),
        (lambda b: change_leaf(b, price=Wei(10**9)), 4, "the job allows"),
        (lambda b: change_opening(b, secret=bytes(32)), 5, "commits to request"),
        (lambda b: change_opening(b, request=encode_request(Request(text="Hi"))), 5, "commits to request"),
        (lambda b: change_opening(b, prompt=(1, 2)), 6, "commits to trace"),
        (lambda b: change_chunk(b, evidence=b"\x01\x02\x04"), 6, "commits to trace"),
        (lambda b: change_chunk(b, logprobs=(-0.25, -0.5, -0.25)), 6, "commits to trace"),
        (lambda b: change_leaf(b, trace=OTHER), 6, "commits to trace"),
        (lambda b: change_leaf(b, prompt_tokens=5), 6, "counts 5 prompt tokens, the file holds 4"),
        (lambda b: change_chunk(b, text="The Capital"), 7, "commits to output"),
        (lambda b: change_chunk(b, tokens=(17, 4, 8)), 7, "commits to output"),
        (lambda b: change_leaf(b, output=OTHER), 7, "commits to output"),
        (lambda b: change_leaf(b, completion_tokens=4), 7, "counts 4 tokens, 5 were streamed"),
        (lambda b: replace(b, node=STRANGER.address, inclusion=None), 8, "not signed by its node"),
        (lambda b: change_leaf(b, STRANGER), 8, "not signed by its node"),
        (lambda b: change_receipt(b, index=3), 8, "not signed by its node"),
        (lambda b: change_receipt(b, anchor_by=Seconds(1)), 8, "not signed by its node"),
        (lambda b: change_head(b, root=OTHER), 9, "leads to"),
        (lambda b: change_head(b, size=2), 9, "outside a tree of 2"),
        (lambda b: change_head(b, size=17), 9, "hashes, not"),
        (lambda b: change_head(b, key=STRANGER), 9, "signed by nobody known here"),
        (lambda b: change_proof(b, checkpoint=SIZE_6.replace("\n6\n", "\n5\n")), 9, "a known key did not sign"),
        (lambda b: change_proof(b, index=3), 9, "the proof is of leaf 3, the receipt promised index 2"),
        (lambda b: change_proof(b, path=()), 9, "hashes, not"),
        (lambda b: change_proof(b, path=(OTHER,) * 3), 9, "leads to"),
    ],
)
def test_a_broken_part_is_named(break_it: Callable[[Bundle], Bundle], check: int, words: str) -> None:
    broken = read_bundle(write_bundle(break_it(VALID)))

    with pytest.raises(InvalidBundle) as caught:
        verify_bundle(broken, DOMAIN)

    assert caught.value.check == check
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("break_it", "words", "check"),
    [
        (lambda b: replace(b, job=SignedJob(b.job.job, BY_STRANGER)), "the leaf tells of another job", 3),
        (lambda b: change_job(b, client=STRANGER.address), "the leaf tells of another job", 3),
        (lambda b: change_job(b, model=OTHER), "the leaf tells of another job", 3),
        (lambda b: change_job(b, request=OTHER), "the leaf tells of another job", 3),
        (lambda b: change_receipt(b, leaf=OTHER), "the receipt is about another leaf", 8),
        (lambda b: change_receipt(b, job=OTHER), "the receipt is about another leaf", 8),
        (lambda b: change_anchor(b, root=OTHER), "the checkpoint is not of the anchored head", 9),
        (lambda b: change_anchor(b, size=6), "the checkpoint is not of the anchored head", 9),
    ],
)
def test_what_is_written_once_cannot_be_contradicted(
    break_it: Callable[[Bundle], Bundle], words: str, check: int
) -> None:
    """No file can say it; in memory it is found by the checks."""
    broken = break_it(VALID)

    with pytest.raises(InvalidBundle, match=words):
        write_bundle(broken)
    with pytest.raises(InvalidBundle) as caught:
        verify_bundle(broken)
    assert caught.value.check == check


def test_a_request_that_is_none_is_named() -> None:
    """Client and node may agree to commit to nonsense; it is no request all the same."""
    nonsense = b"\xc1"
    job = msgspec.structs.replace(VALID.job.job, request=commit_request(request_salt(whole(VALID).secret), nonsense))
    signed = sign_job(job, DOMAIN, CLIENT)
    agreed = change_leaf(
        replace(change_opening(VALID, request=nonsense), job=signed),
        job=job.id(DOMAIN),
        request=job.request,
        client_signature=signed.signature,
    )

    with pytest.raises(InvalidBundle, match="cannot be read") as caught:
        verify_bundle(agreed)

    assert caught.value.check == 5


# --- anchors ---------------------------------------------------------------------------------------------


def _reference(node: ExampleNode, size: int) -> AnchorRef:
    return AnchorRef(size, node.tree.root(size), Seconds(7), 3, OTHER, OTHER)


def test_an_anchor_is_attached() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][1]

    anchored = attach_anchor(run, _reference(node, 3), node.tree.inclusion(1, 3), node.note(3))

    proof = TlogProof(1, tuple(node.tree.inclusion(1, 3)), node.note(3))
    assert anchored.inclusion == Inclusion(_reference(node, 3), proof)
    assert verify_bundle(anchored)[-1].state is State.OK


def test_an_anchor_that_does_not_cover_the_run_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][2]

    with pytest.raises(InvalidProof, match="covers 2 leaves, the run is leaf 2") as caught:
        attach_anchor(run, _reference(node, 2), (), node.note(2))

    assert caught.value.check == 1


def test_a_path_to_another_root_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][1]

    with pytest.raises(InvalidProof, match="leads to"):
        attach_anchor(run, _reference(node, 3), node.tree.inclusion(0, 3), node.note(3))


def test_a_checkpoint_of_another_head_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][1]

    with pytest.raises(InvalidProof, match="signed a log of size 2") as caught:
        attach_anchor(run, _reference(node, 3), node.tree.inclusion(1, 3), node.note(2))

    assert caught.value.check == 3


def test_a_checkpoint_by_another_node_is_refused() -> None:
    node, other = ExampleNode(), ExampleNode(key=STRANGER)
    run = [node.run() for _ in range(3)][1]
    other.leaves, other.tree = node.leaves, node.tree

    with pytest.raises(InvalidCheckpoint, match="no checkpoint of"):
        attach_anchor(run, _reference(node, 3), node.tree.inclusion(1, 3), other.note(3))


def test_unequal_tokens_and_logprobs_are_our_own_bug() -> None:
    with pytest.raises(ValueError, match="2 tokens has 1 logprobs"):
        write_bundle(change_opening(VALID, chunks=(ChunkBody((1, 2), "", (-1.0,)), *CHUNKS)))
