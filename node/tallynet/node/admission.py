"""(2) Admission: the numbered checks between a submitted job and work on it.

Checks (1) to (7) and (9) to (11) reject: the job is wrong for this node, whoever sends it again. Check (8) defers: the
job is right, the moment is not. Source: spec chapter 2.
"""

from dataclasses import dataclass

from tallynet.engine import Engine
from tallynet.engine.engine import check_sampling
from tallynet.node.config import NodeConfig
from tallynet.protocol.advert import Offer
from tallynet.protocol.commitment import commit_request, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Busy, InvalidJob, Unreachable
from tallynet.protocol.job import SignedJob, VerifiedJob, verify_job
from tallynet.protocol.request import Request, decode_request
from tallynet.protocol.units import Milliseconds, TokenIds, Wei
from tallynet.protocol.wire import MAX_PROMPT_TOKENS, Submit

ENGINE_RETRY_MS = 5000


@dataclass(frozen=True, slots=True)
class Admitted:
    """A job that this node will run."""

    job: VerifiedJob
    prompt: TokenIds
    secret: bytes
    request: bytes
    """The encoded request."""

    def submit(self) -> Submit:
        """The message that brought it."""
        return Submit(SignedJob(self.job.job, self.job.signature), self.request, self.secret)


class Admission:
    """What this node takes."""

    def __init__(self, config: NodeConfig, domain: Domain, engine: Engine) -> None:
        self._config = config
        self._domain = domain
        self._engine = engine

    def identify(self, submit: Submit, now: Milliseconds) -> VerifiedJob:
        """Checks (1) and (2): enough to tell a job of ours from noise. Raises `InvalidJob`."""
        job = verify_job(submit.signed, self._domain)  # (1) the client signed the job, for our chain and contract
        latest = now + self._config.max_deadline_seconds * 1000
        # (2) the deadline has not passed and is not too far ahead
        if not now < job.job.deadline <= latest:
            raise InvalidJob(
                f"the deadline is {job.job.deadline} ms, not within {now} to {latest:.0f}",
                check=2,
                remedy="Set a deadline in the near future, and check this machine's clock.",
            )
        return job

    async def admit(self, submit: Submit, job: VerifiedJob, offer: Offer, taken: int) -> Admitted:
        """Checks (3) and (5) to (8) for a job that is neither running nor in the log.

        Raises `InvalidJob` or `Busy`.

        `taken` is how many jobs run or wait already.
        """
        self._check_model(job)
        prompt = await self._tokenize(self.check_opening(submit, job))
        self._check_limits(job, prompt)
        self._check_sampling(job)
        self._check_price(job, offer, prompt)
        self._check_capacity(taken)
        return Admitted(job, prompt, submit.secret, submit.request)

    def _check_model(self, job: VerifiedJob) -> None:
        info = self._engine.info
        # (3) the model is served here and does this task
        if job.job.task != info.task or job.job.model != info.model:
            raise InvalidJob(
                f"task {job.job.task} on model {job.job.model.hex()} is asked for; this node does task "
                f"{info.task:d} on {info.model.hex()}",
                check=3,
                remedy="Run `tallynet models` to see who serves the model.",
            )

    def check_opening(self, submit: Submit, job: VerifiedJob) -> Request:
        """Check (4): whoever sends the job knows its request and secret. Raises `InvalidJob`."""
        # (4) the request opens the job's commitment and can be read
        commitment = commit_request(request_salt(submit.secret), submit.request)
        if commitment != job.job.request:
            raise InvalidJob(f"the request commits to {commitment.hex()}, the job to {job.job.request.hex()}", check=4)
        try:
            return decode_request(submit.request)
        except InvalidJob as error:
            raise InvalidJob(error.message, check=4, evidence=error.evidence, remedy=error.remedy) from error

    async def _tokenize(self, request: Request) -> TokenIds:
        # (5) the model can read the request: the prompt fits its context
        # the engine itself makes the checks on wishes, which have numbers of their own
        try:
            return await self._engine.tokenize(request)
        except InvalidJob as error:
            raise InvalidJob(
                error.message, check=error.check or 5, evidence=error.evidence, remedy=error.remedy
            ) from error
        except Unreachable as error:  # the engine is gone for the moment: nobody is at fault
            raise Busy(error.message, retry_after_ms=ENGINE_RETRY_MS) from error

    def _check_limits(self, job: VerifiedJob, prompt: TokenIds) -> None:
        # (6) the answer stays within this node's limit, and at least one token of it fits the context
        asked, limit = job.job.sampling.max_tokens, self._config.max_tokens
        context = self._engine.info.context_length
        if asked > limit or not 1 <= len(prompt) < min(context, MAX_PROMPT_TOKENS + 1):
            raise InvalidJob(
                f"{asked} tokens after a prompt of {len(prompt)} are asked for; this node answers with at most "
                f"{limit}, in a context of {context} and to prompts of at most {MAX_PROMPT_TOKENS}",
                check=6,
                remedy="Shorten the prompt or lower max_tokens.",
            )

    def _check_sampling(self, job: VerifiedJob) -> None:
        # (6) the engine follows all of the sampling parameters
        try:
            check_sampling(job.job.sampling, self._engine.info)
        except InvalidJob as error:
            raise InvalidJob(error.message, check=6, remedy=error.remedy) from error

    def _check_price(self, job: VerifiedJob, offer: Offer, prompt: TokenIds) -> None:
        # (7) the price of the longest possible answer is within the client's ceiling
        price: Wei = offer.price(len(prompt), job.job.sampling.max_tokens)
        if price > job.job.max_price:
            raise InvalidJob(
                f"the job may cost {price} wei, its ceiling is {job.job.max_price} wei",
                check=7,
                remedy="Raise max_price or lower max_tokens.",
            )

    def _check_capacity(self, taken: int) -> None:
        # (8) there is room in the queue
        room = self._engine.info.slots + self._config.queue
        if taken >= room:
            speed = max(self._engine.load().tokens_per_second, 1.0)
            raise Busy(
                f"(8) {taken} jobs run or wait here, there is room for {room}",
                retry_after_ms=int(min(60_000, max(250, 1000 * 256 / speed))),
            )
