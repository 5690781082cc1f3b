"""Many callers at the same time, each with a stream of its own, and what became of each."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import trio

from tests.client.gateway.stage import MODEL


@dataclass
class Heard:
    """What one caller got."""

    status: int = 0
    node: str = ""
    """Who answers, from the headers."""
    retry_after: int = 0
    text: str = ""
    error: dict[str, Any] | None = None
    """Of the response, or of the last event."""
    tally: dict[str, Any] | None = None
    done: bool = False
    """`[DONE]` came, and nothing after it."""
    begun: trio.Event = field(default_factory=trio.Event)
    """Set with the first text."""

    @property
    def whole(self) -> bool:
        return self.done and self.error is None and self.tally is not None


async def listen(url: str, count: int, seconds: float, **changes: Any) -> list[Heard]:
    """`count` streams at once from a gateway. Raises `trio.TooSlowError` when one hangs for longer than `seconds`."""
    heard = [Heard() for _ in range(count)]
    with trio.fail_after(seconds):
        await attend(url, heard, **changes)
    return heard


async def attend(url: str, heard: list[Heard], **changes: Any) -> None:
    """Fills `heard`, a stream each."""
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as http,
        trio.open_nursery() as nursery,
    ):
        for number, one in enumerate(heard):
            nursery.start_soon(_attend_one, http, number, one, changes)


async def _attend_one(http: httpx.AsyncClient, number: int, heard: Heard, changes: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": f"I am number {number}."}]
    body = {"model": MODEL, "messages": messages, "stream": True, "max_tokens": 40, **changes}
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        heard.status = answer.status_code
        heard.node = answer.headers.get("x-tally-node", "")
        heard.retry_after = int(answer.headers.get("retry-after", 0))
        if answer.status_code != 200:
            heard.error = json.loads(await answer.aread())["error"]
            return
        async for line in answer.aiter_lines():
            if line:
                assert not heard.done
                _hear(heard, line.removeprefix("data: "))


def _hear(heard: Heard, data: str) -> None:
    if data == "[DONE]":
        heard.done = True
        return
    event = json.loads(data)
    heard.error = event.get("error")
    heard.tally = event.get("tally")
    for choice in event.get("choices", ()):
        heard.text += choice["delta"].get("content", "")
    if heard.text:
        heard.begun.set()
