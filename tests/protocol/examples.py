"""One valid instance of everything that is said, for tests to start from: change one thing and see it refused.

All values are fixed: two calls give equal statements, so vectors made from them never change by themselves.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from tallynet.protocol.advert import Advert, Offer, SignedAdvert, sign_advert
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.chunk import Chunk, ChunkBody, SignedChunk, Transcript, sign_chunk
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.job import Job, Sampling, SignedJob, VerifiedJob, sign_job, verify_job
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.manifest import Manifest, ManifestFile
from tallynet.protocol.opening import OpeningRequest, seal_part, sign_opening_request
from tallynet.protocol.receipt import SignedReceipt, sign_receipt
from tallynet.protocol.request import Message, Request, encode_request
from tallynet.protocol.sealing import SealKey
from tallynet.protocol.tiles import write_bundle
from tallynet.protocol.units import Address, Digest, Milliseconds, ModelId, Seconds, Wei
from tallynet.protocol.wire import (
    Accepted,
    Adverts,
    AskAdverts,
    AskCheckpoint,
    AskConsistency,
    AskFile,
    AskInclusion,
    AskOpening,
    AskReceipt,
    Cancel,
    File,
    Finished,
    Frame,
    Head,
    NoConsent,
    NotKept,
    ProofPath,
    Rejected,
    SealedOpening,
    Streamed,
    Submit,
)


def digest(name: str) -> Digest:
    """32 bytes that look random and belong to `name`."""
    return Digest(sha256(name.encode()).digest())


CLIENT = Key(digest("client"))
NODE = Key(digest("node"))
STRANGER = Key(digest("stranger"))
SECRET = digest("secret of the job")
PROMPT = (1, 17, 2024, 7)
DOMAIN = Domain(1337, Address(bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")))
NOW = Milliseconds(1_767_225_600_000)
"""2026-01-01 00:00:00 UTC."""


def valid_request() -> Request:
    return Request(
        messages=(Message("system", "Answer in one word."), Message("user", "What is the capital of Japan? 東京?"))
    )


def valid_sampling(**changes: Any) -> Sampling:
    fields: Mapping[str, Any] = {
        "max_tokens": 40,
        "temperature_millionths": 700_000,
        "top_k": 50,
        "top_p_millionths": 950_000,
        "stop": ("\n\n", "END", "。"),
    }
    return Sampling(**{**fields, **changes})


def valid_manifest() -> Manifest:
    return Manifest(
        (
            ManifestFile("config.json", 655, digest("config.json")),
            ManifestFile("model.safetensors", 6_291_456, digest("model.safetensors")),
            ManifestFile("tokenizer.json", 81_920, digest("tokenizer.json")),
        )
    )


MODEL: ModelId = valid_manifest().model_id


def valid_job(**changes: Any) -> Job:
    fields: Mapping[str, Any] = {
        "client": CLIENT.address,
        "model": MODEL,
        "request": commit_request(request_salt(SECRET), encode_request(valid_request())),
        "sampling": valid_sampling(),
        "deadline": NOW + 60_000,
        "max_price": 10**15,
        "nonce": digest("nonce"),
        "parents": (digest("parent 1"), digest("parent 2")),
        "audit_consent": True,
    }
    return Job(**{**fields, **changes})


def valid_signed_job(**changes: Any) -> SignedJob:
    return sign_job(valid_job(**changes), DOMAIN, CLIENT)


def valid_verified_job(**changes: Any) -> VerifiedJob:
    return verify_job(valid_signed_job(**changes), DOMAIN)


def valid_bodies() -> tuple[ChunkBody, ...]:
    """An answer of 19 tokens in three chunks, the last of them text alone."""
    return (
        ChunkBody(tuple(range(100, 116)), "Tokyo, 東", tuple(-0.125 * i for i in range(16)), b"\x01\x02"),
        ChunkBody((5, 2**32 - 1, 9), "京", (-0.5, -12.25, 0.0)),
        ChunkBody((), "!", ()),
    )


def fresh_transcript() -> Transcript:
    """What both sides begin with."""
    return Transcript(valid_verified_job().id, SECRET, commit_prompt(prompt_salt(SECRET), PROMPT))


def valid_transcript() -> Transcript:
    """What both sides end with."""
    transcript = fresh_transcript()
    for body in valid_bodies():
        transcript.extend(body)
    return transcript


def valid_chunk() -> Chunk:
    """The statement signed for the first chunk."""
    return fresh_transcript().extend(valid_bodies()[0])


def valid_signed_chunks() -> list[SignedChunk]:
    transcript = fresh_transcript()
    return [sign_chunk(transcript, body, DOMAIN, NODE) for body in valid_bodies()]


def valid_leaf(**changes: Any) -> Leaf:
    job, transcript = valid_verified_job(), valid_transcript()
    fields: Mapping[str, Any] = {
        "job": job.id,
        "client": job.job.client,
        "model": job.job.model,
        "runtime": digest("runtime"),
        "params": job.job.sampling.digest,
        "request": job.job.request,
        "output": transcript.output_root,
        "prompt_tokens": len(PROMPT),
        "completion_tokens": transcript.token_count,
        "price": Wei(123_456_789),
        "started": NOW,
        "ended": Milliseconds(NOW + 1_234),
        "status": Status.EOS,
        "trace": transcript.trace_root,
        "client_signature": job.signature,
    }
    return Leaf(**{**fields, **changes})


def valid_receipt(**changes: Any) -> SignedReceipt:
    """A receipt for `valid_leaf(**changes)` at index 5."""
    return sign_receipt(valid_leaf(**changes), 5, Seconds(NOW // 1000 + 3600), DOMAIN, NODE)


def valid_offer(**changes: Any) -> Offer:
    fields: Mapping[str, Any] = {
        "model": MODEL,
        "name": "tally-tiny",
        "context_length": 512,
        "prompt_price": 1_000,
        "completion_price": 3_000,
        "tokens_per_second": 210,
        "slots": 16,
        "free_slots": 11,
        "waiting": 0,
        "evidence": "replayable",
    }
    return Offer(**{**fields, **changes})


def valid_advert(**changes: Any) -> Advert:
    fields: Mapping[str, Any] = {
        "peer": NODE.peer_id,
        "addresses": ("/ip4/192.0.2.7/tcp/4001", "/ip6/2001:db8::7/tcp/4001"),
        "incarnation": NOW - 60_000,
        "issued": NOW,
        "expires": NOW + 60_000,
        "log_size": 1_094_820,
        "offers": (valid_offer(), valid_offer(model=digest("another model"), name="another", free_slots=0)),
    }
    return Advert(**{**fields, **changes})


def valid_signed_advert(**changes: Any) -> SignedAdvert:
    return sign_advert(valid_advert(**changes), DOMAIN, NODE)


def valid_checkpoint() -> Checkpoint:
    return Checkpoint(1_094_820, digest("root"))


def valid_signed_checkpoint() -> SignedCheckpoint:
    return sign_checkpoint(valid_checkpoint(), DOMAIN, NODE)


def valid_opening_request(**changes: Any) -> OpeningRequest:
    """STRANGER audits NODE."""
    fields: dict[str, Any] = {
        "auditor": STRANGER.address,
        "node": NODE.address,
        "job": valid_verified_job().id,
        "index": 5,
        "size": 32,
        "block_hash": digest("block"),
        "seal_key": SealKey(digest("seal")).public,
    }
    return OpeningRequest(**{**fields, **changes})


def valid_frames() -> dict[str, Frame]:
    """One message of every type, by its tag."""
    return {
        "submit": Submit(valid_signed_job(), encode_request(valid_request()), SECRET),
        "cancel": Cancel(),
        "accepted": Accepted(valid_verified_job().id, PROMPT, 3),
        "chunk": Streamed(valid_signed_chunks()[0]),
        "receipt": Finished(valid_receipt()),
        "rejected": Rejected("busy", 0, "17 jobs run or wait here", 250),
        "ask-adverts": AskAdverts(MODEL, NODE.address),
        "adverts": Adverts((valid_signed_advert(),)),
        "ask-checkpoint": AskCheckpoint(),
        "checkpoint": Head(NODE.address, valid_signed_checkpoint()),
        "ask-file": AskFile("tile/entries/x001/234.p/1"),
        "file": File(write_bundle([valid_leaf().pack()])),
        "ask-inclusion": AskInclusion(5, 32),
        "ask-consistency": AskConsistency(8, 32),
        "proof": ProofPath((digest("left"), digest("right"))),
        "ask-receipt": AskReceipt(valid_verified_job().id),
        "ask-opening": AskOpening(sign_opening_request(valid_opening_request(), DOMAIN, STRANGER), 1),
        "opening": SealedOpening(2, seal_part(b"a bundle", 0, valid_opening_request(), DOMAIN, digest("ephemeral"))),
        "no-consent": NoConsent(valid_job(audit_consent=False).words),
        "not-kept": NotKept(604_800),
    }
