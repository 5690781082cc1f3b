"""(1) A job: what a client asks, under which parameters, at most at which price, and until when.

Source of the rules: spec chapter 1.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from tallynet.protocol import eip712
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidJob, InvalidSignature
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.units import Address, Digest, JobId, Milliseconds, ModelId, Signature, Wei

Bytes32 = Meta(min_length=32, max_length=32)
Bytes20 = Meta(min_length=20, max_length=20)
Bytes65 = Meta(min_length=65, max_length=65)

MILLION = 1_000_000
MAX_TOKENS = 8192
"""Largest `max_tokens`: a whole answer then fits the stream's flow-control window (spec chapter 3)."""
MAX_STOP_STRINGS = 8
MAX_STOP_CHARACTERS = 64
MAX_PARENTS = 16

SAMPLING_TYPE = (
    b"Sampling(uint32 maxTokens,uint32 temperatureMillionths,uint32 topK,uint32 topPMillionths,string[] stop)"
)
JOB_TYPE = (
    b"Job(address client,uint8 task,bytes32 model,bytes32 request,Sampling sampling,uint64 deadline,"
    b"uint128 maxPrice,bytes32 nonce,bytes32[] parents,bool auditConsent)"
)
_SAMPLING_HASH = eip712.keccak(SAMPLING_TYPE)
_JOB_HASH = eip712.keccak(JOB_TYPE + SAMPLING_TYPE)

JOB_WORDS = 10
"""Members of `Job`."""
CONSENT_WORD = 9
"""Which of them is the consent."""


class Task(IntEnum):
    """What kind of work a job asks for."""

    GENERATE = 1
    """Go on with a text or a dialogue, token by token; for an encoder-decoder model, put the text into another."""
    EMBED = 2
    """Turn a text into one vector (`embedding.py`)."""
    SCORE = 3
    """Tell how likely each token of a given text is, for a model that generates (`score.py`)."""


class Sampling(Struct, frozen=True, forbid_unknown_fields=True):
    """How tokens are chosen. Integers only, so that every machine reads the same parameters."""

    max_tokens: Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
    temperature_millionths: Annotated[int, Meta(ge=0, le=10 * MILLION)] = 0
    """0 is greedy."""
    top_k: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p_millionths: Annotated[int, Meta(ge=1, le=MILLION)] = MILLION
    """Keep the smallest set of likeliest tokens that reaches this probability; a million keeps all."""
    stop: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=MAX_STOP_CHARACTERS)], ...],
        Meta(max_length=MAX_STOP_STRINGS),
    ] = ()
    """Generation ends before the first of these texts."""

    @property
    def digest(self) -> Digest:
        """The EIP-712 struct hash: leaf field `params`."""
        return eip712.struct(
            _SAMPLING_HASH,
            eip712.uint(self.max_tokens),
            eip712.uint(self.temperature_millionths),
            eip712.uint(self.top_k),
            eip712.uint(self.top_p_millionths),
            eip712.array(eip712.string(text) for text in self.stop),
        )


class Job(Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed. The request itself stays with client and node; the job holds its salted commitment."""

    client: Annotated[Address, Bytes20]
    """Who asks; a pseudonym of the client's choice."""
    model: Annotated[ModelId, Bytes32]
    request: Annotated[Digest, Bytes32]
    """Salted commitment of the encoded request (`commitment.commit_request`)."""
    sampling: Sampling
    deadline: Annotated[Milliseconds, Meta(ge=0, lt=2**53)]
    """The answer is worth nothing after this time."""
    max_price: Annotated[Wei, Meta(ge=0, le=2**63 - 1)]
    """The most the whole job may cost, in wei."""
    nonce: Annotated[Digest, Bytes32]
    """Random; makes two otherwise equal jobs two jobs."""
    parents: Annotated[tuple[Annotated[Digest, Bytes32], ...], Meta(max_length=MAX_PARENTS)] = ()
    """Output commitments of the jobs whose answers this job builds on."""
    audit_consent: bool = False
    """True when the request and answer may be opened to the auditor drawn for this job."""
    task: Annotated[int, Meta(ge=0, lt=256)] = Task.GENERATE

    @property
    def words(self) -> tuple[bytes, ...]:
        """The members of the signed struct, one word each: they give the job's id, and lists stay hashes."""
        return (
            eip712.address(self.client),
            eip712.uint(self.task),
            self.model,
            self.request,
            self.sampling.digest,
            eip712.uint(self.deadline),
            eip712.uint(self.max_price),
            self.nonce,
            eip712.array(self.parents),
            eip712.uint(self.audit_consent),
        )

    @property
    def struct_hash(self) -> Digest:
        return eip712.struct(_JOB_HASH, *self.words)

    def id(self, domain: Domain) -> JobId:
        """The job's name: its EIP-712 digest. The same job twice has the same name."""
        return JobId(domain.digest(self.struct_hash))


class SignedJob(Struct, frozen=True, forbid_unknown_fields=True):
    """A job with its client's signature, as it travels: nothing in it has been checked yet."""

    job: Job
    signature: Annotated[Signature, Bytes65]


class VerifiedJob(Struct, frozen=True):
    """A job whose signature has been checked within one domain."""

    job: Job
    id: JobId
    signature: Signature


def id_of_words(words: Sequence[bytes], domain: Domain) -> JobId:
    """The name of the job with these words (`Job.words`)."""
    return JobId(domain.digest(eip712.struct(_JOB_HASH, *words)))


def sign_job(job: Job, domain: Domain, key: Key) -> SignedJob:
    """Raises ValueError when `key` is not the job's client."""
    if key.address != job.client:
        raise ValueError("a job is signed by its client")
    return SignedJob(job, key.sign(Digest(job.id(domain))))


def verify_job(signed: SignedJob, domain: Domain) -> VerifiedJob:
    """Check (1) of chapter 2: the client signed this job for this chain and contract. Raises `InvalidJob`."""
    job_id = signed.job.id(domain)
    # (1) the client signed the job, for our chain and contract
    try:
        check_signed_by(Digest(job_id), signed.signature, signed.job.client)
    except InvalidSignature as error:
        raise InvalidJob(
            f"the job is not signed by its client for this chain and contract: {error.message}",
            check=1,
            evidence=error.evidence,
            remedy="Sign the job with the client's own key, for the chain and contract of the network file.",
        ) from error
    return VerifiedJob(signed.job, job_id, signed.signature)
