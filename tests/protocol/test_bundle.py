"""A bundle has one form, and each part of it is held by something."""

import base64
import struct
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
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.commitment import commit_request, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle, InvalidProof
from tallynet.protocol.job import SignedJob, sign_job
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import SignedReceipt, sign_receipt
from tallynet.protocol.request import Request, encode_request
from tallynet.protocol.units import Address, Digest, Milliseconds, Seconds, Wei
from tests.audit.examples import CHUNKS, CLIENT, DOMAIN, NODE, STRANGER, ExampleNode, bundle

VALID = bundle()
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


def test_a_short_run_has_a_small_bundle() -> None:
    assert len(TEXT) < 2_500


def test_logprobs_are_written_as_they_were_committed_to() -> None:
    precise = ExampleNode().run(chunks=[ChunkBody((1,), "a", (-0.1,))])  # -0.1 is no float32

    again = read_bundle(write_bundle(precise))

    assert again.chunks[0].logprobs != (-0.1,)
    verify_bundle(again)


def _swap(label: str, value: str) -> str:
    """The text with the first line of that label saying something else, and the last line made anew."""
    lines = TEXT.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith(label + " "))
    return _sealed("".join([*lines[:at], f"{label} {value}\n", *lines[at + 1 : -1]]))


def _sealed(body: str) -> str:
    return f"{body}sha256 {sha256(body.encode()).hexdigest()}\n"


BODY = "".join(TEXT.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "first line"),
        ("tallynet-bundle@v2\n", "first line"),
        ("tallynet-bundle@v1", "no end"),
        ("tallynet-bundle@v1\n", "should hold 'chain'"),
        (TEXT[:-1], "no end"),
        (TEXT + "\n", "comes after the end"),
        (TEXT + "note x\n", "comes after the end"),
        (TEXT.replace("\n", "\r\n"), "first line"),
        (" " + TEXT, "first line"),
        ("\ufeff" + TEXT, "first line"),
        (TEXT.replace("chain ", "chain  "), "decimal number"),
        (_swap("chain", "031337"), "decimal number"),
        (_swap("chain", "+31337"), "decimal number"),
        (_swap("chain", "0"), "not within"),
        (_swap("chain", "9" * 30), "decimal number"),
        (_swap("node", "0x" + "AB" * 20), "an address"),
        (_swap("node", "0xab"), "an address"),
        (_swap("secret", "AAAA"), "3 bytes, not 32"),
        (_swap("secret", "****"), "not base64"),
        (_swap("secret", "é"), "not base64"),
        (_swap("job", "AAAA"), "'job' cannot be read"),
        (_swap("job", ""), "'job' cannot be read"),
        (_swap("receipt", "gA=="), "'receipt' cannot be read"),
        (_swap("prompt", "AAAAAQ=="), "announces 1 tokens"),
        (_swap("prompt", "/////w=="), "announces 4294967295 tokens"),
        (_swap("prompt", "AAAAAAA="), "after its tokens"),
        (_swap("chunk", "AAAAAAAA"), "cut short"),
        (_swap("chunk", "AAAAAP////8="), "cut short in its evidence"),
        (_swap("chunk", "AAAAAAAAAAD/"), "breaks its bounds: 'utf-8' codec"),
        (_swap("chunk", base64.b64encode(struct.pack(">IIfI", 1, 7, 0.5, 0)).decode()), "<= 0.0 - at `$.logprobs[0]`"),
        (_swap("chunk", base64.b64encode(struct.pack(">IIfI", 1, 7, float("nan"), 0)).decode()), "breaks its bounds"),
        (_swap("chunk", base64.b64encode(struct.pack(">II2000x", 0, 2000)).decode()), "length <= 1024"),
        (_swap("chunk", base64.b64encode(bytes(8) + b"x" * 20000).decode()), "length <= 16384"),
        (_swap("anchor-size", "0"), "not within"),
        (_swap("path", "AAAA"), "3 bytes, not 32"),
        (_swap("secret", LINES[6].split()[1][:-2] + "J="), "one form"),
        (_sealed(BODY.replace("anchor-size 5\n", "")), "should hold 'sha256'"),
        (TEXT[: TEXT.index("sha256 ")], "should hold 'sha256'"),
        (TEXT[:-2] + "\n", "32 bytes in hex"),
        (TEXT.replace("sha256 " + TEXT[-65:-1], "sha256 " + TEXT[-65:-1].upper()), "32 bytes in hex"),
    ],
)
def test_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidBundle, match="not a bundle") as caught:
        parse_bundle(text)

    assert caught.value.check == 1
    assert words in caught.value.message


def test_a_job_in_another_encoding_is_refused() -> None:
    job = msgspec.msgpack.encode(dict(reversed(msgspec.to_builtins(VALID.job, builtin_types=(bytes,)).items())))

    with pytest.raises(InvalidBundle, match="line 5 is not in the one form"):
        parse_bundle(_swap("job", base64.b64encode(job).decode()))


def test_a_file_over_the_cap_is_refused_unread() -> None:
    with pytest.raises(InvalidBundle, match="more than"):
        parse_bundle(b"x" * (MAX_BUNDLE_BYTES + 1))


def test_a_bundle_over_the_cap_is_not_written() -> None:
    with pytest.raises(InvalidBundle, match="more than"):
        write_bundle(replace(VALID, request=bytes(MAX_BUNDLE_BYTES)))


@given(st.binary(max_size=200))
def test_no_bytes_after_the_first_line_break_the_reader(data: bytes) -> None:
    with pytest.raises(InvalidBundle):
        parse_bundle(b"tallynet-bundle@v1\n" + data)


def test_a_changed_last_line_is_refused() -> None:
    damaged = TEXT[:-2] + ("0" if TEXT[-2] != "0" else "1") + "\n"

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


# --- one thing broken at a time, by somebody who writes the file properly ----------------------------------


def _job(changed: Bundle, **changes: object) -> Bundle:
    return replace(changed, job=SignedJob(msgspec.structs.replace(changed.job.job, **changes), changed.job.signature))


def _leaf(changed: Bundle, key: Key = NODE, **changes: object) -> Bundle:
    """The node itself signs a receipt for a leaf that is not true."""
    leaf = replace(Leaf.unpack(changed.receipt.leaf), **changes)  # type: ignore[arg-type]
    receipt = changed.receipt.receipt
    return replace(changed, receipt=sign_receipt(leaf, receipt.index, receipt.anchor_by, DOMAIN, key))


def _receipt(changed: Bundle, **changes: object) -> Bundle:
    receipt = msgspec.structs.replace(changed.receipt.receipt, **changes)
    return replace(changed, receipt=SignedReceipt(receipt, changed.receipt.leaf, changed.receipt.signature))


def _chunk(changed: Bundle, **changes: object) -> Bundle:
    first = msgspec.structs.replace(changed.chunks[0], **changes)
    return replace(changed, chunks=(first, *changed.chunks[1:]))


def _anchor(changed: Bundle, **changes: object) -> Bundle:
    assert changed.inclusion is not None
    anchor = replace(changed.inclusion.anchor, **changes)  # type: ignore[arg-type]
    return replace(changed, inclusion=Inclusion(anchor, changed.inclusion.path))


def _path(changed: Bundle, *path: Digest) -> Bundle:
    assert changed.inclusion is not None
    return replace(changed, inclusion=Inclusion(changed.inclusion.anchor, path))


OTHER = Digest(b"\x99" * 32)
OTHER_DOMAIN = Domain(1, Address(b"\x01" * 20))
BY_STRANGER = STRANGER.sign(Digest(VALID.job.job.id(DOMAIN)))


@pytest.mark.parametrize(
    ("break_it", "check", "words"),
    [
        (lambda b: replace(b, domain=OTHER_DOMAIN), 2, "chain 1, the network is contract"),
        (lambda b: _job(b, max_price=Wei(7)), 3, "not signed by its client"),
        (lambda b: _job(b, deadline=Milliseconds(7)), 3, "not signed by its client"),
        (lambda b: _job(b, audit_consent=True), 3, "not signed by its client"),
        (lambda b: replace(b, job=SignedJob(b.job.job, BY_STRANGER)), 3, "not signed by its client"),
        (lambda b: _leaf(b, job=OTHER), 4, "leaf's job is"),
        (lambda b: _leaf(b, client=STRANGER.address), 4, "leaf's client is"),
        (lambda b: _leaf(b, model=OTHER), 4, "leaf's model is"),
        (lambda b: _leaf(b, params=OTHER), 4, "leaf's parameters is"),
        (lambda b: _leaf(b, client_signature=BY_STRANGER), 4, "leaf's client signature is"),
        (lambda b: _leaf(b, price=Wei(10**9)), 4, "the job allows"),
        (lambda b: replace(b, secret=bytes(32)), 5, "commits to request"),
        (lambda b: replace(b, request=encode_request(Request(text="Hi"))), 5, "commits to request"),
        (lambda b: replace(b, prompt=(1, 2)), 6, "commits to trace"),
        (lambda b: _chunk(b, evidence=b"\x01\x02\x04"), 6, "commits to trace"),
        (lambda b: _chunk(b, logprobs=(-0.25, -0.5, -0.25)), 6, "commits to trace"),
        (lambda b: _leaf(b, trace=OTHER), 6, "commits to trace"),
        (lambda b: _leaf(b, prompt_tokens=5), 6, "counts 5 prompt tokens, the file holds 4"),
        (lambda b: _chunk(b, text="The Capital"), 7, "commits to output"),
        (lambda b: _chunk(b, tokens=(17, 4, 8)), 7, "commits to output"),
        (lambda b: _leaf(b, output=OTHER), 7, "commits to output"),
        (lambda b: _leaf(b, completion_tokens=4), 7, "counts 4 tokens, 5 were streamed"),
        (lambda b: replace(b, node=STRANGER.address), 8, "not signed by its node"),
        (lambda b: _leaf(b, STRANGER), 8, "not signed by its node"),
        (lambda b: _receipt(b, index=3), 8, "not signed by its node"),
        (lambda b: _receipt(b, anchor_by=Seconds(1)), 8, "not signed by its node"),
        (lambda b: _receipt(b, leaf=OTHER), 8, "the receipt promises leaf"),
        (lambda b: _receipt(b, job=OTHER), 8, "the receipt names job"),
        (lambda b: _anchor(b, root=OTHER), 9, "leads to"),
        (lambda b: _anchor(b, size=2), 9, "outside a tree of 2"),
        (lambda b: _anchor(b, size=17), 9, "hashes, not"),
        (lambda b: _path(b), 9, "hashes, not"),
        (lambda b: _path(b, OTHER, OTHER, OTHER), 9, "leads to"),
    ],
)
def test_a_broken_part_is_named(break_it: Callable[[Bundle], Bundle], check: int, words: str) -> None:
    broken = read_bundle(write_bundle(break_it(VALID)))

    with pytest.raises(InvalidBundle) as caught:
        verify_bundle(broken, DOMAIN)

    assert caught.value.check == check
    assert words in caught.value.message


def test_a_request_that_is_none_is_named() -> None:
    """Client and node may agree to commit to nonsense; it is no request all the same."""
    nonsense = b"\xc1"
    job = msgspec.structs.replace(VALID.job.job, request=commit_request(request_salt(VALID.secret), nonsense))
    signed = sign_job(job, DOMAIN, CLIENT)
    agreed = _leaf(
        replace(VALID, job=signed, request=nonsense),
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

    anchored = attach_anchor(run, _reference(node, 3), node.tree.inclusion(1, 3))

    assert anchored.inclusion == Inclusion(_reference(node, 3), tuple(node.tree.inclusion(1, 3)))
    assert verify_bundle(anchored)[-1].state is State.OK


def test_an_anchor_that_does_not_cover_the_run_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][2]

    with pytest.raises(InvalidProof, match="covers 2 leaves, the run is leaf 2") as caught:
        attach_anchor(run, _reference(node, 2), ())

    assert caught.value.check == 1


def test_a_path_to_another_root_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][1]

    with pytest.raises(InvalidProof, match="leads to"):
        attach_anchor(run, _reference(node, 3), node.tree.inclusion(0, 3))


def test_unequal_tokens_and_logprobs_are_our_own_bug() -> None:
    with pytest.raises(ValueError, match="2 tokens has 1 logprobs"):
        write_bundle(replace(VALID, chunks=(ChunkBody((1, 2), "", (-1.0,)), *CHUNKS)))
