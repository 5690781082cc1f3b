"""Vectors of what is signed: EIP-712 digests, leaves, streams of chunks, receipts, adverts."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tallynet.protocol import eip712
from tallynet.protocol.advert import ADVERT_TYPE, MAX_TTL_MS, OFFER_TYPE, SignedAdvert, sign_advert
from tallynet.protocol.checkpoint import CHECKPOINT_TYPE
from tallynet.protocol.chunk import CHUNK_TYPE, Chunk, SignedChunk
from tallynet.protocol.commitment import commit_prompt, prompt_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.job import JOB_TYPE, SAMPLING_TYPE
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.note_key import NOTE_KEY_TYPE, NoteKey, NoteKeyStatement
from tallynet.protocol.receipt import RECEIPT_TYPE, SignedReceipt, sign_receipt
from tallynet.protocol.units import Address, Digest, Milliseconds, Seconds, Wei
from tests.protocol.examples import (
    CLIENT,
    DOMAIN,
    NODE,
    NOW,
    PROMPT,
    SECRET,
    STRANGER,
    digest,
    fresh_transcript,
    valid_advert,
    valid_bodies,
    valid_checkpoint,
    valid_chunk,
    valid_job,
    valid_leaf,
    valid_receipt,
    valid_sampling,
    valid_signed_advert,
    valid_signed_chunks,
)
from tests.protocol.json_form import DOMAIN_FIELDS, camel, members, write

ELSEWHERE = Domain(2**64 - 1, Address(bytes(20)))
DOMAIN_JSON = {"chain_id": DOMAIN.chain_id, "contract": write(DOMAIN.contract)}


def eip712_cases() -> dict[str, Any]:
    bare = valid_job(sampling=valid_sampling(stop=()), parents=(), audit_consent=False, max_price=2**63 - 1)
    job_types = {"Job": JOB_TYPE, "Sampling": SAMPLING_TYPE}
    note_key = NoteKeyStatement(NoteKey.of(NODE).public)
    advert_types = {"Advert": ADVERT_TYPE, "Offer": OFFER_TYPE}
    cases: Sequence[tuple[dict[str, bytes], Struct, Digest, Domain, Key]] = (
        (job_types, valid_job(), Digest(valid_job().id(DOMAIN)), DOMAIN, CLIENT),
        (job_types, bare, Digest(bare.id(ELSEWHERE)), ELSEWHERE, CLIENT),
        ({"Chunk": CHUNK_TYPE}, valid_chunk(), valid_chunk().digest(DOMAIN), DOMAIN, NODE),
        ({"Receipt": RECEIPT_TYPE}, valid_receipt().receipt, valid_receipt().receipt.digest(DOMAIN), DOMAIN, NODE),
        (advert_types, valid_advert(), valid_advert().digest(DOMAIN), DOMAIN, NODE),
        (advert_types, goodbye(), goodbye().digest(ELSEWHERE), ELSEWHERE, NODE),
        ({"Checkpoint": CHECKPOINT_TYPE}, valid_checkpoint(), valid_checkpoint().digest(DOMAIN), DOMAIN, NODE),
        ({"NoteKey": NOTE_KEY_TYPE}, note_key, note_key.digest(DOMAIN), DOMAIN, NODE),
    )
    return {"valid": [typed_data(*case) for case in cases]}


def goodbye() -> Any:
    return valid_advert(addresses=(), offers=())


def typed_data(types: dict[str, bytes], statement: Struct, said: Digest, domain: Domain, key: Key) -> dict[str, Any]:
    """A statement as `eth_signTypedData_v4` takes it, with what must come out."""
    return {
        "typed_data": {
            "types": {"EIP712Domain": DOMAIN_FIELDS, **{name: members(name, kind) for name, kind in types.items()}},
            "primaryType": next(iter(types)),
            "domain": {"name": eip712.NAME, "version": eip712.VERSION, "chainId": write(domain.chain_id),
                       "verifyingContract": write(domain.contract)},
            "message": write(statement, camel),
        },
        "domain_separator": write(domain.separator),
        "digest": write(said),
        "secret": write(key.secret),
        "signature": write(key.sign(said)),
    }  # fmt: skip


def leaves() -> dict[str, Any]:
    most = valid_leaf(
        prompt_tokens=2**32 - 1, completion_tokens=2**32 - 1, price=Wei(2**128 - 1), status=Status.FAILED,
        started=Milliseconds(2**53 - 1), ended=Milliseconds(2**53 - 1),
    )  # fmt: skip
    packed = valid_leaf().pack()
    invalid: Sequence[tuple[int, bytes, str]] = (
        (1, packed[:-1], "351 bytes"),
        (1, packed + b"\0", "353 bytes"),
        (2, b"\x02" + packed[1:], "version 2"),
        (2, packed[:1] + b"\0" + packed[2:], "kind 0"),
        (2, packed[:254] + b"\x07" + packed[255:], "status 7"),
        (2, packed[:238] + b"\x00\x20" + bytes(6) + packed[246:], "started at 2**53 ms"),
    )
    return {
        "valid": [
            {"fields": leaf_fields(leaf), "packed": write(leaf.pack()), "hash": write(leaf.hash)}
            for leaf in (valid_leaf(), most)
        ],
        "invalid": [
            {"packed": write(data), "error": "invalid-receipt", "check": check, "reason": reason}
            for check, data, reason in invalid
        ],
    }


def leaf_fields(leaf: Leaf) -> dict[str, Any]:
    names = [name for name in Leaf.__slots__ if name != "kind"]
    return {"kind": int(leaf.kind)} | {name: write(getattr(leaf, name)) for name in names}


def chunks() -> dict[str, Any]:
    """One stream, and what a second chunk can do wrong after a good first one."""
    transcript, steps = fresh_transcript(), []
    for signed in valid_signed_chunks():
        statement = transcript.extend(signed.body)
        steps.append(
            {"signed": write(signed), "statement": write(statement), "digest": write(statement.digest(DOMAIN)),
             "trace_root": write(transcript.trace_root)}
        )  # fmt: skip
    return {
        "domain": DOMAIN_JSON,
        "node": write(NODE.address),
        "job": write(transcript.job),
        "secret": write(SECRET),
        "prompt": list(PROMPT),
        "prompt_commitment": write(commit_prompt(prompt_salt(SECRET), PROMPT)),
        "max_tokens": valid_sampling().max_tokens,
        "valid": steps,
        "invalid_second": [
            {"signed": write(signed), "error": "invalid-chunk", "check": check, "reason": reason}
            for check, signed, reason in bad_second_chunks()
        ],
    }


def bad_second_chunks() -> Sequence[tuple[int, SignedChunk, str]]:
    first, second, _ = valid_signed_chunks()
    body = valid_bodies()[1]
    long = replace(body, tokens=tuple(range(16)), logprobs=(-1.0,) * 16)
    return (
        (1, SignedChunk(replace(body, logprobs=(-0.5,)), second.signature), "one logprob for three tokens"),
        (1, SignedChunk(replace(body, logprobs=(-0.1, 0.0, 0.0)), second.signature), "-0.1 is no float32"),
        (2, SignedChunk(replace(body, tokens=(), logprobs=(), text=""), second.signature), "an empty chunk"),
        (4, SignedChunk(long, second.signature), "another body than was signed"),
        (4, SignedChunk(replace(body, text="都"), second.signature), "another text than was signed"),
        (4, first, "the first chunk again"),
        (4, SignedChunk(body, STRANGER.sign(statement_of_second().digest(DOMAIN))), "signed by somebody else"),
        (4, SignedChunk(body, NODE.sign(statement_of_second().digest(ELSEWHERE))), "signed for another chain"),
    )


def statement_of_second() -> Chunk:
    transcript = fresh_transcript()
    transcript.extend(valid_bodies()[0])
    return transcript.extend(valid_bodies()[1])


def receipts() -> dict[str, Any]:
    """Checks (1) to (5); the leaf's own vectors are in `leaf.json`."""
    valid, other = valid_receipt(), valid_leaf(completion_tokens=20)
    renamed = replace(valid.receipt, job=digest("another job"))
    invalid: Sequence[tuple[int, SignedReceipt, str]] = (
        (2, SignedReceipt(valid.receipt, b"\x02" + valid.leaf[1:], valid.signature), "a leaf of version 2"),
        (3, SignedReceipt(valid.receipt, other.pack(), valid.signature), "about another leaf"),
        (4, SignedReceipt(renamed, valid.leaf, NODE.sign(renamed.digest(DOMAIN))), "names another job"),
        (5, SignedReceipt(replace(valid.receipt, index=6), valid.leaf, valid.signature), "another index"),
        (5, sign_receipt(valid_leaf(), 5, Seconds(1), DOMAIN, STRANGER), "signed by somebody else"),
        (5, sign_receipt(valid_leaf(), 5, Seconds(1), ELSEWHERE, NODE), "signed for another chain"),
    )
    return {
        "domain": DOMAIN_JSON,
        "node": write(NODE.address),
        "valid": [{"signed": write(valid), "digest": write(valid.receipt.digest(DOMAIN))}],
        "invalid": [
            {"signed": write(signed), "error": "invalid-receipt", "check": check, "reason": reason}
            for check, signed, reason in invalid
        ],
    }


def adverts() -> dict[str, Any]:
    valid = valid_signed_advert()
    cheaper = valid_advert(offers=valid.advert.offers[:1])
    invalid: Sequence[tuple[int, SignedAdvert, int, str]] = (
        (1, valid, valid.advert.expires, "it is over"),
        (1, valid, NOW - 60_001, "it has not begun"),
        (1, valid_signed_advert(expires=NOW + MAX_TTL_MS + 1), NOW, "it asks to be believed for too long"),
        (2, valid_signed_advert(incarnation=NOW + 1), NOW, "issued before its incarnation"),
        (3, SignedAdvert(cheaper, valid.signature), NOW, "changed after it was signed"),
        (3, sign_advert(valid.advert, DOMAIN, STRANGER), NOW, "signed by somebody else"),
        (3, valid_signed_advert(peer=NODE.peer_id + " "), NOW, "a peer id not in its one form"),
    )
    return {
        "domain": DOMAIN_JSON,
        "valid": [
            {"signed": write(signed), "now": NOW, "node": write(NODE.address)}
            for signed in (valid, sign_advert(goodbye(), DOMAIN, NODE))
        ],
        "invalid": [
            {"signed": write(signed), "now": now, "error": "invalid-advert", "check": check, "reason": reason}
            for check, signed, now, reason in invalid
        ],
    }
