"""The routes: what is read of a request, who does it, what is answered."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from tallynet.client.client import AsyncClient
from tallynet.client.gateway.agreement import agree
from tallynet.client.gateway.asked import Asked
from tallynet.client.gateway.bodies import ChatBody, CompletionBody, EmbeddingsBody
from tallynet.client.gateway.chat import Chat
from tallynet.client.gateway.completions import Completion
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.connection import Answering, Line
from tallynet.client.gateway.door import Door
from tallynet.client.gateway.embeddings import Vectors
from tallynet.client.gateway.events import Telling
from tallynet.client.gateway.faults import ApiError, invalid
from tallynet.client.gateway.forms import Form
from tallynet.client.gateway.jobs import AT_ONCE, Jobs
from tallynet.client.gateway.metrics import Metrics
from tallynet.client.gateway.models import describe_model, find_model
from tallynet.client.gateway.parameters import read_body
from tallynet.client.gateway.policy import Policy, both, read_policy
from tallynet.client.gateway.receipts import MAX_WAIT_SECONDS
from tallynet.client.gateway.run import Run, headers_of, tally_of
from tallynet.client.gateway.scored import Scored, is_scored
from tallynet.client.gateway.visit import Visit
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.units import JobId

_JOB = re.compile(r"0x[0-9a-f]{64}")


@dataclass
class Gateway:
    """What the routes stand on."""

    config: GatewayConfig
    client: AsyncClient
    door: Door
    jobs: Jobs
    metrics: Metrics
    clock: Callable[[], float]

    async def chat(self, request: Request) -> Response:
        visit = self._enter(request, "chat")
        body = read_body(await self.door.read(request), ChatBody)
        return self._answering(Chat.read(body, _policy(request, visit, body.tally), self.config), visit)

    async def complete(self, request: Request) -> Response:
        visit = self._enter(request, "text_completion")
        body = read_body(await self.door.read(request), CompletionBody)
        policy = _policy(request, visit, body.tally)
        if is_scored(body):
            return self._score(Scored.read(body, policy, self.config), body, visit)
        return self._answering(Completion.read(body, policy, self.config), visit)

    def _score(self, scored: Scored, body: CompletionBody, visit: Visit) -> Answering:
        visit.model, visit.user = body.model, body.user or ""

        async def work(line: Line) -> None:
            with self.door.admit(visit.caller, len(scored.requests), len(scored.requests)):
                runs = await self.jobs.every(scored, visit)
            await line.answer(scored.whole(runs, self.jobs.now()), headers_of(runs))

        return Answering(work)

    async def embed(self, request: Request) -> Response:
        visit = self._enter(request, "embeddings")
        body = read_body(await self.door.read(request), EmbeddingsBody)
        vectors = Vectors.read(body, _policy(request, visit, body.tally), self.config)
        visit.model, visit.user = body.model, body.user or ""

        async def work(line: Line) -> None:
            count = len(vectors.requests)
            with self.door.admit(visit.caller, min(count, AT_ONCE), count):
                runs = await self.jobs.every(vectors, visit)
            await line.answer(vectors.whole(runs), headers_of(runs))

        return Answering(work)

    async def models(self, request: Request) -> Response:
        self._enter(request, "")
        found = await self.client.models()
        return JSONResponse({"object": "list", "data": [describe_model(model, found) for model in found]})

    async def model(self, request: Request, model: str) -> Response:
        self._enter(request, "")
        found = await self.client.models()
        return JSONResponse(describe_model(find_model(model, found), found))

    async def receipt(self, request: Request, job: str, wait: float = 0.0) -> Response:
        visit = self._enter(request, "")
        if not _JOB.fullmatch(job.lower()):
            raise ApiError(404, "receipt_not_found", "A job is 0x and 64 hex digits, as in x-tally-job.", param="job")
        if not 0 <= wait <= MAX_WAIT_SECONDS:
            raise invalid("invalid_value", f"wait is a number of seconds, 0 to {MAX_WAIT_SECONDS:g}.", "wait")
        bundle = await self.jobs.receipts.get(JobId(bytes.fromhex(job[2:])), visit.caller, wait)
        level = "anchored" if bundle.inclusion else "signed"
        file = f'attachment; filename="{job.lower()}.tally"'
        headers = {"x-tally-job": job.lower(), "x-tally-evidence": level, "content-disposition": file}
        return Response(write_bundle(bundle), media_type="text/plain; charset=utf-8", headers=headers)

    async def healthz(self) -> dict[str, str]:
        return {"status": "ok"}

    async def report(self, request: Request) -> Response:
        self._enter(request, "")
        self.metrics.open_jobs.set(self.door.open_jobs)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _enter(self, request: Request, operation: str) -> Visit:
        visit = visit_of(request)
        visit.operation = operation
        visit.caller = self.door.enter(request)
        return visit

    def _answering(self, form: Form, visit: Visit) -> Answering:
        async def work(line: Line) -> None:
            asked = form.asked
            agreement = asked.policy.agreement
            jobs = agreement.among if agreement else len(asked.requests)
            visit.model, visit.user = asked.model, asked.body.user or ""
            with self.door.admit(visit.caller, jobs, jobs * asked.max_tokens):
                if asked.body.stream:
                    await Telling(form, self.jobs, visit, line, self.clock, self.jobs.now()).tell()
                else:
                    runs = await self._runs(asked, visit)
                    payload = form.whole(runs[: len(asked.requests)], self.jobs.now())
                    await line.answer({**payload, "tally": tally_of(runs)}, headers_of(runs))

        return Answering(work)

    async def _runs(self, asked: Asked, visit: Visit) -> list[Run]:
        if asked.policy.agreement is not None:
            return await agree(self.jobs, asked, asked.policy.agreement, visit)
        return await self.jobs.every(asked, visit)


def visit_of(request: Request) -> Visit:
    visit = request.state.visit
    assert isinstance(visit, Visit)
    return visit


def _policy(request: Request, visit: Visit, asked: Policy | None) -> Policy:
    """Of the key, of the header and of the body: all have to be met."""
    header = request.headers.get("x-tally-policy")
    both_asked = both(asked or Policy(), read_policy(header) if header else Policy())
    return both(visit.caller.policy, both_asked)
