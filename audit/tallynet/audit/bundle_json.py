"""A bundle for other programs: as JSON, and as an in-toto Statement about its output.

Neither is read here again: only the text of a bundle has one form that can be checked. Bytes are lower-case hex with
0x, amounts of wei decimal strings, times seconds or, in job and leaf, milliseconds.
"""

import hashlib

from tallynet.protocol.bundle import MAGIC, Bundle, write_bundle
from tallynet.protocol.bundle_openings import OpenedChunk, Opening, Whole
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.job import Sampling, SignedJob
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import SignedReceipt
from tallynet.protocol.units import Digest, prefixed

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:tallynet:run:v1"
"""The predicate: `job`, `node`, `model`, `leaf`, `receipt`, `anchor` and `proof` as in the JSON, in camel case."""
OUTPUT_DIGEST = "tallynetOutputV1"
"""Name of our digest in a DigestSet: the salted output commitment of chapter 3, lower-case hex."""

Json = dict[str, object]


def bundle_as_json(bundle: Bundle) -> Json:
    """All that the bundle says, what it opens included."""
    return {"format": MAGIC.decode(), **_facts(bundle), "opening": _opening(bundle.opening)}


def statement_about(bundle: Bundle) -> Json:
    """An in-toto Statement v1 whose subject is the output; says nothing of the conversation but the output's digest.

    The SHA-256 of the answer's text is a subject's digest only where the bundle opens all of it: whoever sees an
    unsalted digest can try guesses.
    """
    text = write_bundle(bundle.closed()).encode()
    predicate = _camel({**_facts(bundle), "bundle_sha256": hashlib.sha256(text).hexdigest()})
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "output", "digest": _output_digests(bundle)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


def _output_digests(bundle: Bundle) -> dict[str, str]:
    digests = {OUTPUT_DIGEST: Leaf.unpack(bundle.receipt.leaf).output.hex()}
    if isinstance(bundle.opening, Whole):
        answer = "".join(body.text for body in bundle.opening.chunks)
        digests["sha256"] = hashlib.sha256(answer.encode()).hexdigest()
    return digests


def _facts(bundle: Bundle) -> Json:
    """Everything but what was said."""
    return {
        "chain_id": bundle.domain.chain_id,
        "contract": prefixed(bundle.domain.contract),
        "node": prefixed(bundle.node),
        "model": prefixed(bundle.job.job.model),
        "job": _job(bundle.job, bundle.domain),
        "leaf": _leaf(Leaf.unpack(bundle.receipt.leaf)),
        "receipt": _receipt(bundle.receipt),
        "anchor": _anchor(bundle),
        "proof": _proof(bundle),
    }


def _job(signed: SignedJob, domain: Domain) -> Json:
    job = signed.job
    return {
        "id": prefixed(job.id(domain)),
        "task": job.task,
        "client": prefixed(job.client),
        "model": prefixed(job.model),
        "request": prefixed(job.request),
        "sampling": _sampling(job.sampling),
        "deadline": job.deadline,
        "max_price": str(job.max_price),
        "nonce": prefixed(job.nonce),
        "parents": [prefixed(parent) for parent in job.parents],
        "audit_consent": job.audit_consent,
        "signature": prefixed(signed.signature),
    }


def _sampling(sampling: Sampling) -> Json:
    return {
        "max_tokens": sampling.max_tokens,
        "temperature_millionths": sampling.temperature_millionths,
        "top_k": sampling.top_k,
        "top_p_millionths": sampling.top_p_millionths,
        "stop": list(sampling.stop),
    }


def _leaf(leaf: Leaf) -> Json:
    return {
        "data": prefixed(leaf.pack()),
        "runtime": prefixed(leaf.runtime),
        "params": prefixed(leaf.params),
        "output": prefixed(leaf.output),
        "trace": prefixed(leaf.trace),
        "prompt_tokens": leaf.prompt_tokens,
        "completion_tokens": leaf.completion_tokens,
        "price": str(leaf.price),
        "started": leaf.started,
        "ended": leaf.ended,
        "status": leaf.status.name.lower(),
    }


def _receipt(signed: SignedReceipt) -> Json:
    receipt = signed.receipt
    return {
        "leaf": prefixed(receipt.leaf),
        "index": receipt.index,
        "anchor_by": receipt.anchor_by,
        "job": prefixed(receipt.job),
        "signature": prefixed(signed.signature),
    }


def _anchor(bundle: Bundle) -> Json | None:
    if bundle.inclusion is None:
        return None
    anchor = bundle.inclusion.anchor
    return {
        "size": anchor.size,
        "root": prefixed(anchor.root),
        "time": anchor.time,
        "block": anchor.block,
        "block_hash": prefixed(anchor.block_hash),
        "transaction": prefixed(anchor.transaction),
    }


def _proof(bundle: Bundle) -> Json | None:
    if bundle.inclusion is None:
        return None
    proof = bundle.inclusion.proof
    return {"index": proof.index, "path": [prefixed(digest) for digest in proof.path], "checkpoint": proof.checkpoint}


def _opening(opening: Opening | None) -> Json | None:
    if opening is None:
        return None
    if isinstance(opening, Whole):
        return {
            "secret": prefixed(opening.secret),
            "request": prefixed(opening.request),
            "prompt": list(opening.prompt),
            "chunks": [
                {
                    "tokens": list(body.tokens),
                    "text": body.text,
                    "logprobs": list(body.logprobs),
                    "evidence": prefixed(body.evidence),
                }
                for body in opening.chunks
            ],
        }
    request = opening.request
    return {
        "request": {"salt": prefixed(request.salt), "request": prefixed(request.request)} if request else None,
        "chunks": [_piece(chunk) for chunk in opening.chunks],
    }


def _piece(chunk: OpenedChunk | Digest) -> Json:
    if isinstance(chunk, OpenedChunk):
        return {"salt": prefixed(chunk.salt), "tokens": list(chunk.tokens), "text": chunk.text}
    return {"commitment": prefixed(chunk)}


def _camel(value: object) -> object:
    """The same with `max_price` called `maxPrice`, as predicates of in-toto have it."""
    if isinstance(value, dict):
        return {_camel_name(name): _camel(part) for name, part in value.items()}
    return [_camel(part) for part in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
