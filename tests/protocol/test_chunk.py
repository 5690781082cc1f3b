"""Chunks: a stream whose every prefix is signed, and chapter 3, checks (1) to (4), each broken alone."""

import math
from typing import Any

import msgspec
import pytest

from tallynet.protocol import merkle
from tallynet.protocol.chunk import ChunkBody, SignedChunk, Transcript, accept_chunk, sign_chunk
from tallynet.protocol.commitment import chunk_salt, commit_chunk, commit_prompt, hash_evidence, prompt_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidChunk
from tallynet.protocol.units import JobId
from tests.protocol.examples import (
    DOMAIN,
    NODE,
    PROMPT,
    SECRET,
    STRANGER,
    digest,
    fresh_transcript,
    valid_bodies,
    valid_signed_chunks,
    valid_transcript,
)

MAX_TOKENS = 40


def accept(transcript: Transcript, signed: SignedChunk, *, max_tokens: int = MAX_TOKENS) -> ChunkBody:
    return accept_chunk(transcript, signed, DOMAIN, NODE.address, max_tokens)


def after(count: int) -> Transcript:
    """The client's transcript once it has accepted the first `count` chunks."""
    transcript = fresh_transcript()
    for signed in valid_signed_chunks()[:count]:
        accept(transcript, signed)
    return transcript


def refused(number: int, transcript: Transcript, signed: SignedChunk, *, max_tokens: int = MAX_TOKENS) -> None:
    with pytest.raises(InvalidChunk) as refusal:
        accept(transcript, signed, max_tokens=max_tokens)
    assert refusal.value.check == number


def signed_second(**changes: Any) -> SignedChunk:
    """The second chunk, changed and then signed by its node without a check."""
    body, transcript = msgspec.structs.replace(valid_bodies()[1], **changes), after(1)
    return SignedChunk(body, NODE.sign(transcript.extend(body).digest(DOMAIN)))


def test_both_sides_of_a_stream_end_with_the_same_roots() -> None:
    transcript = after(3)

    assert transcript.output_root == valid_transcript().output_root
    assert transcript.trace_root == valid_transcript().trace_root
    assert transcript.text == "Tokyo, 東京!"
    assert transcript.tokens == (*range(100, 116), 5, 2**32 - 1, 9)
    assert transcript.token_count == 19


def test_the_roots_are_those_that_the_chapter_says() -> None:
    bodies = valid_bodies()
    output = [commit_chunk(chunk_salt(SECRET, i), body.tokens, body.text) for i, body in enumerate(bodies)]
    prompt = commit_prompt(prompt_salt(SECRET), PROMPT)
    trace = [prompt, *(hash_evidence(i, body.logprobs, body.evidence) for i, body in enumerate(bodies))]

    assert valid_transcript().output_root == merkle.root([merkle.leaf_hash(part) for part in output])
    assert valid_transcript().trace_root == merkle.root([merkle.leaf_hash(part) for part in trace])


def test_an_answer_without_chunks_has_the_empty_root() -> None:
    assert fresh_transcript().output_root == merkle.EMPTY_ROOT
    assert fresh_transcript().text == ""


def test_a_stream_that_breaks_off_is_evidence_of_what_came_before() -> None:
    statement = after(1).extend(valid_bodies()[1])

    assert (statement.index, statement.tokens) == (1, 19)
    assert valid_signed_chunks()[1].signature == NODE.sign(statement.digest(DOMAIN))


# (1)


@pytest.mark.parametrize(
    "logprobs",
    [
        (),
        (-0.5, -0.5),
        (-0.5, -0.5, -0.5, -0.5),
        (-0.5, math.nan, 0.0),
        (-0.5, -math.inf, 0.0),
        (-0.5, -1e300, 0.0),
        (-0.5, 1e-9, 0.0),
        (-0.5, -0.1, 0.0),
    ],
)
def test_1_logprobs_that_are_not_one_float32_per_token(logprobs: tuple[float, ...]) -> None:
    body = msgspec.structs.replace(valid_bodies()[1], logprobs=logprobs)

    refused(1, after(1), SignedChunk(body, NODE.sign(digest("anything"))))


def test_a_node_rounds_its_logprobs_to_float32_before_it_signs() -> None:
    body = msgspec.structs.replace(valid_bodies()[1], logprobs=(-0.1, -0.2, -0.3))
    signed = sign_chunk(after(1), body, DOMAIN, NODE)

    assert accept(after(1), signed).logprobs == signed.body.logprobs != body.logprobs


@pytest.mark.parametrize("logprob", [math.nan, -math.inf, 0.5])
def test_a_node_does_not_sign_what_a_broken_engine_measured(logprob: float) -> None:
    transcript = after(1)

    with pytest.raises(ValueError, match="engine"):
        sign_chunk(transcript, msgspec.structs.replace(valid_bodies()[1], logprobs=(logprob,) * 3), DOMAIN, NODE)
    assert transcript.token_count == 16


# (2)


def test_2_a_chunk_without_anything() -> None:
    refused(2, after(1), signed_second(tokens=(), logprobs=(), text=""))


def test_2_anything_after_a_chunk_without_tokens() -> None:
    """Else a node could stream text for ever: only tokens count towards the limit."""
    transcript = after(3)
    for body in (ChunkBody((), "more", ()), ChunkBody((1,), "more", (-1.0,))):
        refused(2, transcript, SignedChunk(body, NODE.sign(digest("anything"))))


# (3)


def test_3_more_tokens_than_were_asked_for() -> None:
    refused(3, after(1), valid_signed_chunks()[1], max_tokens=18)
    accept(after(1), valid_signed_chunks()[1], max_tokens=19)


# (4)


@pytest.mark.parametrize(
    "changes", [{"text": "都"}, {"tokens": (5, 8, 9)}, {"text": ""}, {"tokens": (5, 9), "logprobs": (-0.5, 0.0)}]
)
def test_4_a_body_changed_after_it_was_signed(changes: dict[str, Any]) -> None:
    body = msgspec.structs.replace(valid_bodies()[1], **changes)

    refused(4, after(1), SignedChunk(body, valid_signed_chunks()[1].signature))


def test_4_a_chunk_signed_by_somebody_else() -> None:
    refused(4, after(1), sign_chunk(after(1), valid_bodies()[1], DOMAIN, STRANGER))


def test_4_a_chunk_signed_for_another_chain() -> None:
    refused(4, after(1), sign_chunk(after(1), valid_bodies()[1], Domain(1, DOMAIN.contract), NODE))


def test_4_a_chunk_out_of_order() -> None:
    refused(4, after(0), valid_signed_chunks()[1])


def test_4_a_chunk_that_comes_twice() -> None:
    refused(4, after(1), valid_signed_chunks()[0])


def test_4_a_chunk_of_another_job() -> None:
    other = Transcript(JobId(digest("another job")), SECRET, commit_prompt(prompt_salt(SECRET), PROMPT))

    refused(4, fresh_transcript(), sign_chunk(other, valid_bodies()[0], DOMAIN, NODE))


def test_evidence_is_bound_by_the_trace_and_not_by_the_chunk() -> None:
    """The signature of a chunk covers tokens and text; logprobs and evidence wait for the receipt, check (15)."""
    transcript, signed = after(1), valid_signed_chunks()[1]
    accept(transcript, SignedChunk(msgspec.structs.replace(signed.body, evidence=b"other"), signed.signature))

    assert transcript.trace_root != after(2).trace_root
