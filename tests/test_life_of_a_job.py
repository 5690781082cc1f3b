"""The life of a job, in six steps: the first test to read.

A client asks, a node answers, and whoever doubts it can check. The numbers are those of the chapters of
`protocol/spec/`. Model, network and chain are stand-ins in memory, so that it takes a second; every signature, hash,
log entry and proof is the real one. `tests/e2e` does the same with nothing stood in for.
"""

import dataclasses
import secrets
from pathlib import Path

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from tallynet.audit.anchoring import Chain
from tallynet.audit.node_audit import NodeVerdict, audit_node
from tallynet.audit.verdict import Verdict
from tallynet.audit.verify import verify_offline, verify_online
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.ledger import Anchor, Ledger
from tallynet.network.frames import FROM_NODE, receive_frame, send_frame
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import Stream
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.chunk import Transcript, accept_chunk
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.job import Job, Sampling, sign_job, verify_job
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle import verify_inclusion
from tallynet.protocol.receipt import check_leaf_of_job, check_leaf_of_transcript, verify_receipt
from tallynet.protocol.request import Message, Request, encode_request
from tallynet.protocol.units import Address, Digest, Milliseconds, Wei
from tallynet.protocol.wire import JOB_PROTOCOL, Accepted, Finished, Streamed, Submit

NEW_YEAR = 1_767_225_600
"""2026-01-01 00:00:00 UTC, when everything begins here."""

CLIENT = Key(bytes(31) + b"\x07")
MAX_TOKENS = 40
PRICE = 3
"""Wei per answered token."""


async def test_the_life_of_a_job(autojump_clock: MockClock, tmp_path: Path) -> None:
    autojump_clock.autojump_threshold = 0.01  # time passes when nobody works; the log's disk works, too
    async with open_devnet(tmp_path, clock=clock, settings={"completion_price_wei": PRICE}) as devnet:
        node, transport = devnet.nodes[0], devnet.transport()
        async with transport.run():
            submit = sign_the_job(devnet)
            async with await transport.open(node.peer, JOB_PROTOCOL) as stream:
                accepted = await be_admitted(stream, submit, devnet)
                transcript, finished = await follow_the_generation(stream, submit, accepted, devnet)
            check_the_receipt(finished, submit, transcript, devnet)
            log = LogReader(transport, node.peer, devnet.ledger.domain)
            await await_the_anchor(finished, log, devnet)
            bundle = collect(devnet, submit, accepted, transcript, finished)
            await audit_the_bundle(bundle, log, devnet.ledger)
            await audit_the_log(devnet)


def sign_the_job(devnet: Devnet) -> Submit:
    """(1) The client signs what it asks, the most it pays, and until when. The request itself is not in the job, only
    a commitment that says nothing without the secret."""
    request = encode_request(Request(messages=(Message("user", "What is the capital of Japan?"),)))
    secret = secrets.token_bytes(32)
    job = Job(
        client=CLIENT.address,
        model=devnet.nodes[0].node.engines.first.model,
        request=commit_request(request_salt(secret), request),
        sampling=Sampling(max_tokens=MAX_TOKENS),
        deadline=Milliseconds(int(1000 * clock()) + 60_000),
        max_price=Wei(PRICE * MAX_TOKENS),
        nonce=Digest(secrets.token_bytes(32)),
    )
    return Submit(sign_job(job, devnet.ledger.domain, CLIENT), request, secret)


async def be_admitted(stream: Stream, submit: Submit, devnet: Devnet) -> Accepted:
    """(2) The node checks the job, takes it, and tells the prompt as its model sees it."""
    await send_frame(stream, submit)

    accepted = await receive_frame(stream, FROM_NODE, seconds=10)

    assert isinstance(accepted, Accepted)
    assert accepted.job == submit.signed.job.id(devnet.ledger.domain)
    assert len(accepted.prompt) > 0
    return accepted


async def follow_the_generation(
    stream: Stream, submit: Submit, accepted: Accepted, devnet: Devnet
) -> tuple[Transcript, Finished]:
    """(3) The answer comes in chunks, each signed over all before it: the client never reads an unsigned word."""
    domain, node = devnet.ledger.domain, devnet.nodes[0].address
    transcript = Transcript(accepted.job, submit.secret, commit_prompt(prompt_salt(submit.secret), accepted.prompt))
    while isinstance(frame := await receive_frame(stream, FROM_NODE, seconds=10), Streamed):
        accept_chunk(transcript, frame.chunk, domain, node, MAX_TOKENS)

    assert transcript.text
    assert isinstance(frame, Finished)
    return transcript, frame


def check_the_receipt(finished: Finished, submit: Submit, transcript: Transcript, devnet: Devnet) -> None:
    """(4) The run is in the node's log, on disk; then the node signs where it stands and by when it is anchored."""
    domain, node = devnet.ledger.domain, devnet.nodes[0].address
    receipt = verify_receipt(finished.receipt, domain, node)
    check_leaf_of_job(receipt.leaf, verify_job(submit.signed, domain))
    check_leaf_of_transcript(receipt.leaf, transcript)

    assert receipt.leaf.status.finished
    assert receipt.leaf.price == PRICE * transcript.token_count
    assert receipt.receipt.index == 0


async def await_the_anchor(finished: Finished, log: LogReader, devnet: Devnet) -> None:
    """(5) The contract learns size and root of the log, in time; a short path leads from the run to that root."""
    ledger, node = devnet.ledger, devnet.nodes[0].address
    anchor = await first_anchor(ledger, node)
    receipt = finished.receipt.receipt
    path = await log.inclusion(receipt.index, anchor.size)

    assert anchor.time <= receipt.anchor_by
    verify_inclusion(receipt.leaf, receipt.index, anchor.size, path, anchor.root)
    await ledger.verify(node, receipt.leaf, receipt.index, path)


async def audit_the_bundle(bundle: Bundle, log: LogReader, ledger: Ledger) -> None:
    """(6) Whoever has the bundle checks the whole run, without a word of the client's or the node's to believe; and a
    single changed letter of the answer is found."""

    async def find_log(node: Address) -> LogReader:
        return log

    verification = await verify_online(write_bundle(bundle).encode(), Chain(ledger, find_log))
    assert verification.verdict is Verdict.OK
    assert verification.bundle is not None
    anchored = verification.bundle
    assert verify_offline(write_bundle(anchored).encode(), ledger.domain).verdict is Verdict.OK

    opening = anchored.opening
    assert isinstance(opening, Whole)
    first, *rest = opening.chunks
    altered = replace(first, text=first.text.swapcase())
    lie = dataclasses.replace(opening, chunks=(altered, *rest))
    forged = write_bundle(dataclasses.replace(anchored, opening=lie))
    failure = verify_offline(forged.encode(), ledger.domain).failure
    assert failure is not None and failure.check == 7


async def audit_the_log(devnet: Devnet) -> None:
    """(6) Whoever wants reads the node's whole log, from its first entry, and compares it with the chain."""
    node, auditor = devnet.nodes[0], devnet.transport()
    async with auditor.run():
        audit = await audit_node(auditor, devnet.ledger, node.address, node.peer)

    assert audit.verdict is NodeVerdict.PASS, audit.reason
    assert (audit.entries_checked, audit.unanchored) == (1, 0)


def collect(devnet: Devnet, submit: Submit, accepted: Accepted, transcript: Transcript, finished: Finished) -> Bundle:
    """All that the client has of the run, in one file; the anchor is looked up by whoever checks it."""
    return Bundle(
        domain=devnet.ledger.domain,
        node=devnet.nodes[0].address,
        job=submit.signed,
        receipt=finished.receipt,
        opening=Whole(submit.secret, submit.request, accepted.prompt, tuple(transcript.bodies)),
    )


async def first_anchor(ledger: Ledger, node: Address) -> Anchor:
    with trio.fail_after(60):
        while not (anchors := await ledger.anchors(node)):
            await trio.sleep(0.1)
    return anchors[0]


def clock() -> float:
    """The time of day, in Unix seconds: trio's clock, which jumps."""
    return NEW_YEAR + trio.current_time()
