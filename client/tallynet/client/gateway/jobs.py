"""The jobs behind a request: run, brought to the evidence that was demanded, and booked on the key that asked."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tallynet.client.answer_stream import AnswerStream
from tallynet.client.batch import ask_all
from tallynet.client.client import AsyncClient
from tallynet.client.gateway.asked import Errand
from tallynet.client.gateway.bodies import MAX_CHOICES
from tallynet.client.gateway.faults import ApiError, translate
from tallynet.client.gateway.keys import KeyStore
from tallynet.client.gateway.receipts import Receipts
from tallynet.client.gateway.run import Run, cut_short, part_of
from tallynet.client.gateway.visit import Visit
from tallynet.protocol.errors import NoNodes, TallyError
from tallynet.protocol.request import Request
from tallynet.protocol.units import Address, Seconds, prefixed

AT_ONCE = MAX_CHOICES
"""Jobs of one request that are under way together."""


@dataclass
class Jobs:
    """One for the whole gateway."""

    client: AsyncClient
    keys: KeyStore
    receipts: Receipts
    now: Callable[[], Seconds]

    @asynccontextmanager
    async def begin(
        self, asked: Errand, request: Request, visit: Visit, node: Address | None = None
    ) -> AsyncIterator[AnswerStream]:
        """A job whose node has begun to answer. Leaving early cancels it; what it did is booked either way.

        Raises `ApiError`, also for what goes wrong inside the block, with what there is of evidence.
        """
        stream = asked.begin(self.client, request, node)
        try:
            async with stream:
                visit.served = stream.model_name
                yield stream
        except NoNodes as error:
            raise await self._missing(asked.model, error) from error
        except ApiError:
            raise
        except TallyError as error:
            raise translate(error, part_of(stream)) from error
        finally:
            self._book(stream, visit)

    async def conclude(self, stream: AnswerStream, asked: Errand, visit: Visit) -> Run:
        """The run of a stream that was read to its end, with the evidence that the policy demands.

        Raises `ApiError` 503 for an answer that was cut short or whose evidence does not come in time.
        """
        self._book(stream, visit)
        answer = stream.answer
        if not answer.status.finished:
            raise cut_short(answer, part_of(stream))
        if not asked.policy.waits_for_anchor:
            return Run(answer, answer.evidence)
        left = max(0.0, asked.deadline_seconds - answer.seconds)
        bundle = await self.receipts.anchored(answer.bundle(), left)
        if bundle.inclusion is None:
            raise ApiError(
                503,
                "evidence_not_reached",
                "The answer is not anchored within the deadline: fetch its receipt later, or give it longer.",
                retry=False,
                tally=part_of(stream),
            )
        return Run(answer, "anchored")

    async def whole(self, asked: Errand, request: Request, visit: Visit, node: Address | None = None) -> Run:
        """Run one job to its end."""
        async with self.begin(asked, request, visit, node) as stream:
            await stream.finish()
            return await self.conclude(stream, asked, visit)

    async def every(self, asked: Errand, visit: Visit) -> list[Run]:
        """Run all jobs, AT_ONCE at the same time; one that fails ends the others."""
        return await ask_all(lambda request: self.whole(asked, request, visit), asked.requests, AT_ONCE)

    def _book(self, stream: AnswerStream, visit: Visit) -> None:
        """Idempotent: a run costs once."""
        if not stream.finished or any(answer.job == stream.job for answer in visit.answers):
            return
        answer = stream.answer
        visit.answers.append(answer)
        self.keys.book(answer.job, visit.caller, answer.usage.total_tokens, answer.price, self.now())
        self.receipts.put(answer.bundle())

    async def _missing(self, model: str, error: NoNodes) -> ApiError:
        """Whether nobody has the model, or nobody is there: 404 or 503."""
        try:
            on_offer = await self.client.models()
        except NoNodes as nobody:
            return translate(nobody)
        if any(model in (known.name, prefixed(known.model)) for known in on_offer):
            return translate(error)
        names = ", ".join(sorted({known.name for known in on_offer})[:8])
        message = f"No node offers the model {model[:100]!r}. On offer: {names}; GET /v1/models tells more."
        return ApiError(404, "model_not_found", message, param="model")
