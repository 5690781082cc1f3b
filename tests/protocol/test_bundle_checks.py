"""Each part of a bundle is held by something: numbered checks, one thing broken at a time."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest

from tallynet.protocol.bundle import (
    AnchorRef,
    Bundle,
    attach_anchor,
    read_bundle,
    write_bundle,
)
from tallynet.protocol.bundle_checks import NAMES, CheckResult, State, verify_bundle
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.commitment import commit_request, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.job import SignedJob, sign_job
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle import node_hash
from tallynet.protocol.note import write_checkpoint_note
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.request import Request, encode_request
from tallynet.protocol.units import Address, Digest, Milliseconds, Seconds, Wei
from tests.audit.examples import CLIENT, DOMAIN, NODE, STRANGER, ExampleNode, bundle
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
    whole,
)

VALID = bundle()
OTHER = Digest(b"\x99" * 32)


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
