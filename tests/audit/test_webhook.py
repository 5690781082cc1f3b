"""Findings are posted to whoever asked for them, with patience, and never at the cost of the watch."""

import json

import httpx
import pytest
import trio

from tallynet.audit.findings import Finding, Webhook, Weight
from tallynet.protocol.units import Seconds, prefixed
from tests.audit.examples import NODE
from tests.audit.suspects import NOW


def finding() -> Finding:
    return Finding(NODE.address, "late", Weight.FAULT, "It was late.", Seconds(NOW))


async def test_a_webhook_gets_each_finding(autojump_clock: trio.testing.MockClock) -> None:
    got: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(json.loads(request.content))
        return httpx.Response(204)

    hook = Webhook("https://example.org/hook", httpx.MockTransport(answer))
    assert await hook.post(finding())
    await hook.aclose()

    assert got == [finding().describe()]
    assert (got[0]["event"], got[0]["weight"], got[0]["node"]) == ("late", "fault", prefixed(NODE.address))


async def test_a_webhook_is_asked_three_times(autojump_clock: trio.testing.MockClock) -> None:
    attempts: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        attempts.append(request)
        if len(attempts) == 2:
            raise httpx.ConnectError("no route")
        return httpx.Response(500 if len(attempts) == 1 else 200)

    hook = Webhook("https://example.org/hook", httpx.MockTransport(answer))
    assert await hook.post(finding())
    await hook.aclose()

    assert len(attempts) == 3


async def test_a_webhook_that_never_answers_does_not_stop_the_watch(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await trio.sleep_forever()
            raise AssertionError

    hook = Webhook("https://example.org/hook", Silent())
    begun = trio.current_time()
    assert not await hook.post(finding())
    await hook.aclose()

    assert trio.current_time() - begun == pytest.approx(3 * 5 + 1 + 4)
    assert len(caplog.records) == 3
