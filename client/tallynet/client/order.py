"""(1) An order: a signed job with what opens its commitments, the same for every node that it is sent to.

One order is one job: sent twice, to one node or to two, it has one name and can be paid for once.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tallynet.client.terms import Terms
from tallynet.client.tools.definition import InvalidTools
from tallynet.client.wishes import Wishes
from tallynet.protocol.chunk import Transcript
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import Job, SignedJob, VerifiedJob, sign_job, verify_job
from tallynet.protocol.keys import Key
from tallynet.protocol.request import Message, Request, decode_request, encode_request
from tallynet.protocol.units import Digest, Milliseconds, ModelId, TokenIds, Wei
from tallynet.protocol.wire import Submit

Turns = Sequence[Message | Mapping[str, str]]
Prompt = str | Turns | Request
"""One user message, a dialogue of `{"role": …, "content": …}`, or a `Request`, e.g. `Request(text="Once upon")` for
a text that the model continues without its chat template."""

HIGHEST_PRICE = Wei(2**63 - 1)
"""The largest ceiling that a job can carry."""

NO_WISHES = Wishes()

_JOB = msgspec.msgpack.Decoder(Job)


@dataclass(frozen=True, slots=True)
class Order:
    """A job on its way, and what its answer is checked against. The repr shows neither request nor secret."""

    domain: Domain
    signed: SignedJob
    job: VerifiedJob
    request: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    placed: Milliseconds
    """When the job was signed: nothing about it can have happened earlier."""
    price_is_capped: bool
    """True when the user set the ceiling; then any price up to it is fine, and else only the advertised one."""

    def submit(self) -> Submit:
        """The message that hands the job to a node."""
        return Submit(self.signed, self.request, self.secret)

    def transcript(self, prompt: TokenIds) -> Transcript:
        """An empty transcript of the answer to this job after `prompt`."""
        return Transcript(self.job.id, self.secret, commit_prompt(prompt_salt(self.secret), prompt))


def read_prompt(prompt: Prompt, wishes: Wishes = NO_WISHES) -> Request:
    """The request that a prompt and wishes stand for. Raises `InvalidJob` for what no node could read."""
    try:
        request = decode_request(encode_request(wishes.added_to(_request(prompt))))
    except (UnicodeEncodeError, msgspec.ValidationError) as error:
        raise InvalidJob(f"the prompt is no text or dialogue: {error}") from error
    if request.tools and not request.messages:
        raise InvalidTools(
            "Tools are told by a chat template, and a plain text goes around it.",
            parameter="tools",
            remedy="Send messages.",
        )
    return request


def place(
    request: Request,
    model: ModelId,
    terms: Terms,
    *,
    key: Key,
    domain: Domain,
    now: Milliseconds,
    seconds: float,
    ceiling: Wei,
    nonce: Digest | None = None,
) -> Order:
    """Sign a new job. `ceiling` is the price it carries. Raises `InvalidJob` when it breaks a rule of chapter 1.

    `nonce` is random unless it is given; given twice, it must stand for one purpose (`flow_plan.job_nonce`).

    `seconds` are left until the user's deadline. The one that the job carries is a little earlier, so that the
    receipt of an answer that is cut short by it still arrives in time.
    """
    encoded, secret = encode_request(request), secrets.token_bytes(32)
    job = Job(
        client=key.address,
        model=model,
        request=commit_request(request_salt(secret), encoded),
        sampling=terms.sampling,
        deadline=Milliseconds(now + int(1000 * (seconds - min(1.0, seconds / 10)))),
        max_price=ceiling,
        nonce=nonce or Digest(secrets.token_bytes(32)),
        parents=terms.parents,
        audit_consent=terms.audit_consent,
        task=terms.task,
    )
    _check_bounds(job)
    signed = sign_job(job, domain, key)
    return Order(domain, signed, verify_job(signed, domain), encoded, secret, now, terms.max_price is not None)


def _request(prompt: Prompt) -> Request:
    if isinstance(prompt, Request):
        return prompt
    if isinstance(prompt, str):
        return Request(messages=(Message("user", prompt),))
    return Request(messages=tuple(msgspec.convert(turn, Message) for turn in prompt))


def _check_bounds(job: Job) -> None:
    """A struct's constructor checks nothing, its decoder does."""
    try:
        _JOB.decode(msgspec.msgpack.encode(job))
    except (msgspec.ValidationError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidJob(f"the job cannot be asked for: {error}") from error
