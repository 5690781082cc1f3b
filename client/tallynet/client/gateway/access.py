"""Around every request: a visit, one line in the access log, the metrics. No prompt, no answer, no secret."""

import logging
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallynet.client.gateway.metrics import Metrics
from tallynet.client.gateway.visit import Visit
from tallynet.protocol.units import printable, short

log = logging.getLogger("tallynet.client.gateway.access")


class Access:
    """An ASGI application around another, whose requests find their `Visit` in `state`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(scope["method"], scope["path"], self._clock())
        scope.setdefault("state", {})["visit"] = visit

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._record(visit)

    def _record(self, visit: Visit) -> None:
        now = self._clock()
        self._metrics.count(visit, now)
        log.info("%s", line(visit, now))


def line(visit: Visit, now: float) -> str:
    """`POST /v1/chat/completions 200 key=alice model=tally-tiny jobs=1a2b…9f00 tokens=31 0.532s`."""
    facts = {
        "key": visit.caller.name,
        "user": visit.user,
        "model": visit.model,
        "error": visit.error,
        "jobs": ",".join(short(answer.job) for answer in visit.answers),
        "tokens": str(sum(answer.usage.total_tokens for answer in visit.answers) or ""),
    }
    told = " ".join(f"{name}={_word(value)}" for name, value in facts.items() if value)
    status = visit.status or "left"
    return f"{visit.method} {_word(visit.path)} {status} {told + ' ' if told else ''}{now - visit.began:.3f}s"


def _word(text: str) -> str:
    """Foreign text as one word: nobody forges a line, or a field of one."""
    return printable(text, 128).replace(" ", "?")
