"""The packed lines of a bundle: of job and receipt only what the leaf does not repeat. All numbers big-endian.

    job      u8 task ‖ u8 consent ‖ u32 max tokens ‖ u32 temperature ‖ u32 top k ‖ u32 top p ‖ u64 deadline
             ‖ u64 max price ‖ 32 nonce ‖ u8 count, each u16 length ‖ stop string ‖ u8 count, each 32 parent
    receipt  u64 index ‖ u64 anchor by ‖ 65 signature

Client, model, request and signature of the job, and leaf hash and job of the receipt, come from the leaf. Values that
contradict it can therefore not be written, and what is written wrong fails at its signature.
"""

import struct

import msgspec

from tallynet.protocol.bundle_lines import malformed
from tallynet.protocol.errors import InvalidReceipt
from tallynet.protocol.job import Job, Sampling, SignedJob
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import Receipt, SignedReceipt
from tallynet.protocol.units import Signature

_JOB = struct.Struct(">BBIIIIQQ32s")
_RECEIPT = struct.Struct(">QQ65s")


def read_leaf(data: bytes) -> Leaf:
    """Raises `InvalidBundle`, check 1, for what is no leaf of known form."""
    try:
        return Leaf.unpack(data)
    except InvalidReceipt as error:
        raise malformed(f"'leaf' cannot be read: {error.message}") from error


def pack_job(signed: SignedJob) -> bytes:
    """Raises ValueError for numbers outside the bounds of a job."""
    job, sampling = signed.job, signed.job.sampling
    try:
        fixed = _JOB.pack(
            job.task,
            job.audit_consent,
            sampling.max_tokens,
            sampling.temperature_millionths,
            sampling.top_k,
            sampling.top_p_millionths,
            job.deadline,
            job.max_price,
            job.nonce,
        )
    except struct.error as error:
        raise ValueError(f"the job cannot be packed: {error}") from error
    stops = [text.encode() for text in sampling.stop]
    stop = b"".join(len(text).to_bytes(2, "big") + text for text in stops)
    return fixed + bytes([len(stops)]) + stop + bytes([len(job.parents)]) + b"".join(job.parents)


def unpack_job(data: bytes, leaf: Leaf) -> SignedJob:
    """The job that `data` and `leaf` tell of together. Raises `InvalidBundle`, check 1."""
    try:
        task, consent, tokens, temperature, top_k, top_p, deadline, price, nonce = _JOB.unpack_from(data)
        stop, rest = _take_stop(data[_JOB.size :])
        sampling = {
            "max_tokens": tokens,
            "temperature_millionths": temperature,
            "top_k": top_k,
            "top_p_millionths": top_p,
            "stop": stop,
        }
        fields = {
            "client": leaf.client,
            "model": leaf.model,
            "request": leaf.request,
            "sampling": msgspec.convert(sampling, Sampling),
            "deadline": deadline,
            "max_price": price,
            "nonce": nonce,
            "parents": _take_parents(rest),
            "audit_consent": (False, True)[consent],
            "task": task,
        }
        return SignedJob(msgspec.convert(fields, Job), leaf.client_signature)
    except (struct.error, IndexError, UnicodeDecodeError, msgspec.ValidationError, ValueError) as error:
        raise malformed(f"'job' cannot be read: {error}") from error


def pack_receipt(signed: SignedReceipt) -> bytes:
    return _RECEIPT.pack(signed.receipt.index, signed.receipt.anchor_by, signed.signature)


def unpack_receipt(data: bytes, leaf: Leaf) -> SignedReceipt:
    """The receipt that `data` and `leaf` make together. Raises `InvalidBundle`, check 1."""
    try:
        index, anchor_by, signature = _RECEIPT.unpack(data)
        fields = {"leaf": leaf.hash, "index": index, "anchor_by": anchor_by, "job": leaf.job}
        return SignedReceipt(msgspec.convert(fields, Receipt), leaf.pack(), Signature(signature))
    except (struct.error, msgspec.ValidationError) as error:
        raise malformed(f"'receipt' cannot be read: {error}") from error


def _take_stop(data: bytes) -> tuple[tuple[str, ...], bytes]:
    texts, at = [], 1
    for _ in range(data[0]):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            raise ValueError("it is cut short in its stop strings")
        texts.append(data[at + 2 : end].decode())
        at = end
    return tuple(texts), data[at:]


def _take_parents(data: bytes) -> tuple[bytes, ...]:
    if len(data) != 1 + 32 * data[0]:
        raise ValueError(f"{len(data) - 1} bytes hold no {data[0]} parents")
    return tuple(data[at : at + 32] for at in range(1, len(data), 32))
