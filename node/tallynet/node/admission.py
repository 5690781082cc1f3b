"""(2) Admission: the numbered checks between a submitted job and work on it.

Checks (1) to (7) and (9) to (11) reject: the job is wrong for this node, whoever sends it again. Check (8) defers: the
job is right, the moment is not. Source: spec chapter 2.
"""

from dataclasses import dataclass

from tallynet.engine import Engine
from tallynet.engine.engine import check_sampling
from tallynet.node.config import NodeConfig
from tallynet.node.engines import Engines, Served
from tallynet.protocol.advert import Offer
from tallynet.protocol.commitment import commit_request, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Busy, InvalidJob, Unreachable
from tallynet.protocol.job import SignedJob, Task, VerifiedJob, verify_job
from tallynet.protocol.request import Request, decode_request
from tallynet.protocol.score import split_text
from tallynet.protocol.units import Milliseconds, TokenIds, Wei, short
from tallynet.protocol.wire import MAX_PROMPT_TOKENS, Submit

ENGINE_RETRY_MS = 5000
MAX_NAMED, MAX_SHOWN = 8, 64
"""Models that a refusal names, and the characters of each: it must fit into a message."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A job that this node will run."""

    job: VerifiedJob
    engine: Engine
    """That of the job's model."""
    prompt: TokenIds
    secret: bytes
    request: bytes
    """The encoded request."""
    scored: TokenIds = ()
    """The rest of the text, where it is scored and nothing is generated."""
    top: int = 0
    """How many likely tokens are then told for each place."""

    @property
    def most_tokens(self) -> int:
        """Of the answer."""
        return len(self.scored) or self.job.job.sampling.max_tokens

    def submit(self) -> Submit:
        """The message that brought it."""
        return Submit(SignedJob(self.job.job, self.job.signature), self.request, self.secret)


class Admission:
    """What this node takes."""

    def __init__(self, config: NodeConfig, domain: Domain, engines: Engines) -> None:
        self._config = config
        self._domain = domain
        self.engines = engines

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

    def choose(self, job: VerifiedJob) -> Served:
        """Check (3): the model that the job asks for. Raises `InvalidJob`."""
        served = self.engines.get(job.job.model)
        # (3) the model is served here and does this task
        if served is None:
            raise InvalidJob(
                f"task {job.job.task} on model {job.job.model.hex()} is asked for; this node serves {self._on_offer()}",
                check=3,
                remedy="Run `tallynet models` to see who serves the model.",
            )
        if not served.engine.info.does(job.job.task):
            raise InvalidJob(
                f"task {job.job.task} on {served.name} is asked for; this node does task "
                f"{served.engine.info.task:d} on it",
                check=3,
                remedy="Run `tallynet models` to see what the models do.",
            )
        return served

    def _on_offer(self) -> str:
        """The first models by name; a refusal holds no more of them."""
        named = [f"{served.name[:MAX_SHOWN]} ({short(served.model)})" for served in self.engines]
        more = [f"and {len(named) - MAX_NAMED} more"] if len(named) > MAX_NAMED else []
        return ", ".join([*named[:MAX_NAMED], *more])

    async def admit(self, submit: Submit, job: VerifiedJob, served: Served, offer: Offer, taken: int) -> Admitted:
        """Checks (5) to (8) for a job that is neither running nor in the log, on the model that was chosen for it.

        Raises `InvalidJob` or `Busy`.

        `taken` is how many jobs of this model run or wait already.
        """
        engine = served.engine
        request = self.check_opening(submit, job)
        self._check_kind(job, request)
        tokens = await self._tokenize(request, engine)
        self._check_limits(job, tokens, engine)
        self._check_sampling(job, engine)
        admitted = _admitted(job, engine, submit, request, tokens)
        self._check_price(admitted, offer)
        self._check_capacity(taken, engine)
        return admitted

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

    def _check_kind(self, job: VerifiedJob, request: Request) -> None:
        scoring = job.job.task == Task.SCORE
        # (5) only a text is scored, and only of a text that is scored the likeliest tokens are told
        if (scoring and request.messages) or (request.top and not scoring):
            raise InvalidJob(
                f"task {job.job.task} on a request with {len(request.messages)} messages and top = {request.top}",
                check=5,
                remedy="To have a text scored, send it as it is; for an answer, leave out top.",
            )

    async def _tokenize(self, request: Request, engine: Engine) -> TokenIds:
        # (5) the model can read the request: the prompt fits its context
        # the engine itself makes the checks on wishes, which have numbers of their own
        try:
            return await engine.tokenize(request)
        except InvalidJob as error:
            raise InvalidJob(
                error.message, check=error.check or 5, evidence=error.evidence, remedy=error.remedy
            ) from error
        except Unreachable as error:  # the engine is gone for the moment: nobody is at fault
            raise Busy(error.message, retry_after_ms=ENGINE_RETRY_MS) from error

    def _check_limits(self, job: VerifiedJob, prompt: TokenIds, engine: Engine) -> None:
        # (6) the answer stays within this node's limit, and at least one token of it fits the context
        scoring = job.job.task == Task.SCORE
        asked, limit = 0 if scoring else job.job.sampling.max_tokens, self._config.max_tokens
        context = engine.info.context_length
        if asked > limit or not 1 <= len(prompt) < min(context, MAX_PROMPT_TOKENS + 1):
            raise InvalidJob(
                f"{asked} tokens after a prompt of {len(prompt)} are asked for; this node answers with at most "
                f"{limit}, in a context of {context} and to prompts of at most {MAX_PROMPT_TOKENS}",
                check=6,
                remedy="Shorten the prompt or lower max_tokens.",
            )

    def _check_sampling(self, job: VerifiedJob, engine: Engine) -> None:
        # (6) the engine follows all of the sampling parameters
        try:
            check_sampling(job.job.sampling, engine.info, job.job.task)
        except InvalidJob as error:
            raise InvalidJob(error.message, check=6, remedy=error.remedy) from error

    def _check_price(self, admitted: Admitted, offer: Offer) -> None:
        job = admitted.job.job
        # (7) the price of the longest possible answer is within the client's ceiling
        price: Wei = offer.price(len(admitted.prompt), admitted.most_tokens, job.task)
        if price > job.max_price:
            raise InvalidJob(
                f"the job may cost {price} wei, its ceiling is {job.max_price} wei",
                check=7,
                remedy="Raise max_price or lower max_tokens.",
            )

    def _check_capacity(self, taken: int, engine: Engine) -> None:
        # (8) there is room in the model's queue
        room = engine.info.slots + self._config.queue
        if taken >= room:
            speed = max(engine.load().tokens_per_second, 1.0)
            raise Busy(
                f"(8) {taken} jobs of this model run or wait here, there is room for {room}",
                retry_after_ms=int(min(60_000, max(250, 1000 * 256 / speed))),
            )


def _admitted(job: VerifiedJob, engine: Engine, submit: Submit, request: Request, tokens: TokenIds) -> Admitted:
    """Of a text to be scored, all but the first token is what the answer tells of."""
    if job.job.task != Task.SCORE:
        return Admitted(job, engine, tokens, submit.secret, submit.request)
    try:
        prompt, scored = split_text(tokens)
    except InvalidJob as error:
        raise InvalidJob(error.message, check=6, remedy=error.remedy) from error
    return Admitted(job, engine, prompt, submit.secret, submit.request, scored, request.top)
