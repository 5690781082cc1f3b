"""Bundles whose openings do not lead to what was committed to: checks (5) to (7)."""

from dataclasses import replace

import msgspec

from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import OpenedChunk, OpenedRequest, Part, open_part
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.commitment import commit_request, request_salt
from tallynet.protocol.job import sign_job
from tallynet.protocol.request import Request, encode_request
from tallynet.protocol.units import Digest
from tests.audit.examples import CLIENT, DOMAIN, ExampleNode, bundle
from tests.audit.forging import change_chunk, change_leaf, change_opening, whole
from tests.audit.ways import way

VALID = bundle()
OTHER = Digest(b"\x99" * 32)


# (5)


@way(5, "the job commits to request")
def another_secret() -> Bundle:
    """The secret is not the one behind the commitments."""
    return change_opening(VALID, secret=bytes(32))


@way(5, "the job commits to request")
def another_question() -> Bundle:
    """The request is not the one that was committed to."""
    return change_opening(VALID, request=encode_request(Request(text="What is the capital of France?")))


@way(5, "cannot be read")
def request_that_is_none() -> Bundle:
    """Client and node agreed on a request that cannot be read."""
    nonsense, opening = b"\xc1", whole(VALID)
    request = commit_request(request_salt(opening.secret), nonsense)
    signed = sign_job(msgspec.structs.replace(VALID.job.job, request=request), DOMAIN, CLIENT)
    agreed = replace(change_opening(VALID, request=nonsense), job=signed)
    return change_leaf(agreed, job=signed.job.id(DOMAIN), request=request, client_signature=signed.signature)


@way(5, "the job commits to request")
def opened_request_under_another_salt() -> Bundle:
    """The request is opened by itself, with a salt that is not its own."""
    return replace(VALID, opening=Part(OpenedRequest(bytes(32), whole(VALID).request), ()))


# (6)


@way(6, "the leaf commits to trace")
def another_prompt() -> Bundle:
    """The model saw another prompt than the file says."""
    return change_opening(VALID, prompt=(1, 500, 70000, 4))


@way(6, "the leaf commits to trace")
def another_logprob() -> Bundle:
    """A token was more likely than the file says."""
    return change_chunk(VALID, logprobs=(-0.25, -0.5, -0.25))


@way(6, "the leaf commits to trace")
def other_evidence() -> Bundle:
    """The engine measured something else than the file says."""
    return change_chunk(VALID, evidence=b"\x01\x02\x04")


@way(6, "the leaf commits to trace 9999")
def leaf_of_another_trace() -> Bundle:
    """The node wrote another trace into the leaf."""
    return change_leaf(VALID, trace=OTHER)


@way(6, "the leaf counts 5 prompt tokens, the file holds 4")
def prompt_tokens_miscounted() -> Bundle:
    """The node counted a prompt token too many."""
    return change_leaf(VALID, prompt_tokens=5)


# (7)


@way(7, "the leaf commits to output")
def another_word() -> Bundle:
    """A letter of the answer is another one."""
    return change_chunk(VALID, text="The Capital")


@way(7, "the leaf commits to output")
def another_token() -> Bundle:
    """A token of the answer is another one."""
    return change_chunk(VALID, tokens=(17, 4, 8))


@way(7, "the leaf commits to output 9999")
def leaf_of_another_output() -> Bundle:
    """The node wrote another output into the leaf."""
    return change_leaf(VALID, output=OTHER)


@way(7, "the leaf counts 4 tokens, 5 were streamed")
def tokens_miscounted() -> Bundle:
    """The node counted a token too few."""
    return change_leaf(VALID, completion_tokens=4)


@way(7, "the leaf commits to output")
def text_that_the_evidence_does_not_cover() -> Bundle:
    """The trace fits, and a word was moved from one chunk to the next."""
    first, second = whole(VALID).chunks
    return change_opening(
        VALID,
        chunks=(
            ChunkBody(first.tokens, "The", first.logprobs, first.evidence),
            ChunkBody(second.tokens, " capital" + second.text, second.logprobs, second.evidence),
        ),
    )


@way(7, "the leaf commits to output")
def opened_chunk_at_another_place() -> Bundle:
    """A single chunk is opened at the place of another."""
    part = open_part(VALID.opening, [1])
    return replace(VALID, opening=Part(None, part.chunks[::-1]))


@way(7, "the leaf commits to output")
def opened_chunk_with_another_text() -> Bundle:
    """A single chunk is opened with another text."""
    closed, opened = open_part(VALID.opening, [1]).chunks
    assert isinstance(opened, OpenedChunk)
    return replace(VALID, opening=Part(None, (closed, replace(opened, text=" is Kyōto."))))


@way(7, "the leaf commits to output")
def closed_chunk_left_out() -> Bundle:
    """A single chunk is opened, and the one before it is not even listed."""
    return replace(VALID, opening=Part(None, open_part(VALID.opening, [1]).chunks[1:]))


@way(7, "the leaf counts 1 tokens, the file opens 2")
def more_tokens_opened_than_counted() -> Bundle:
    """A single chunk holds more tokens than the node counted in all."""
    node = ExampleNode()
    run = node.run(completion_tokens=1)
    return replace(node.anchored(run), opening=open_part(run.opening, [1]))
