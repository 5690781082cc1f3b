"""Who may ask, and how much: numbered checks between an HTTP request and work on it.

(1) the host is this machine's, where no key is needed   (2) the key is in force   (3) not too often
(4) the body is JSON, not too large and sent in time     (5) the day's tokens are not used up   (6) there is room
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field

import trio
from fastapi import Request
from starlette.requests import ClientDisconnect

from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.faults import ApiError
from tallynet.client.gateway.keys import DAY_SECONDS, EVERYBODY, Caller, KeyStore
from tallynet.client.gateway.rates import Rates
from tallynet.protocol.units import Seconds

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass
class Door:
    """One for the whole gateway."""

    config: GatewayConfig
    keys: KeyStore
    rates: Rates
    now: Callable[[], Seconds]
    open_jobs: int = 0
    _promised: Counter[str] = field(default_factory=Counter)
    """Tokens that jobs under way may still use, by key."""

    def enter(self, request: Request) -> Caller:
        """Checks (1) to (3). Raises `ApiError` 401, 403 or 429."""
        caller = self._identify(request)
        self.rates.take(caller.name, caller.requests_per_minute or self.config.requests_per_minute)
        return caller

    async def read(self, request: Request) -> bytes:
        """Check (4). Raises `ApiError` 408, 413 or 415."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "unsupported_media_type", "Send the body as JSON, with content-type: application/json.")
        with trio.move_on_after(self.config.body_seconds), suppress(ClientDisconnect):
            return await self._body(request)
        message = f"The body did not come whole within {self.config.body_seconds:g} s: send it again."
        raise ApiError(408, "request_timeout", message)

    @contextmanager
    def admit(self, caller: Caller, jobs: int, most_tokens: int) -> Iterator[None]:
        """Checks (5) and (6), for as long as the jobs are under way. `most_tokens`: of all their answers together.

        Raises `ApiError` 429 or 503. How long a prompt is only the node can tell: a quota can be exceeded by the
        prompts of the jobs that are under way together.
        """
        self._check_quota(caller, most_tokens)
        if self.open_jobs + jobs > self.config.max_open_jobs:
            raise ApiError(
                503, "gateway_busy", f"{self.open_jobs} jobs are under way: come back in a second.", retry_after=1
            )
        self.open_jobs += jobs
        self._promised[caller.name] += most_tokens
        try:
            yield
        finally:
            self.open_jobs -= jobs
            self._promised[caller.name] -= most_tokens

    def _identify(self, request: Request) -> Caller:
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if self.config.loopback and not self.keys.any_in_force:
            # (1) no web page can reach us through a name of its own that leads to this machine
            if _hostname(request) not in LOCAL_HOSTS:
                raise ApiError(403, "host_not_allowed", "Without API keys the gateway answers only to localhost.")
            return EVERYBODY
        # (2) the key is in force
        caller = self.keys.find(secret.strip()) if kind.lower() == "bearer" else None
        if caller is None:
            raise ApiError(
                401,
                "invalid_api_key",
                "The API key is missing, unknown or revoked: send `Authorization: Bearer KEY` with a key from "
                "`tallynet gateway keys add`.",
            )
        return caller

    async def _body(self, request: Request) -> bytes:
        limit, data = self.config.max_request_bytes, bytearray()
        async with aclosing(request.stream()) as parts:
            async for part in parts:
                data += part
                if len(data) > limit:
                    message = f"The body has more than {limit} bytes: send less."
                    raise ApiError(413, "request_too_large", message, retry=False)
        return bytes(data)

    def _check_quota(self, caller: Caller, most_tokens: int) -> None:
        # (5) the day's tokens are not used up
        if caller.tokens_per_day is None:
            return
        now = self.now()
        used = self.keys.tokens_today(caller.name, now) + self._promised[caller.name]
        if used + most_tokens > caller.tokens_per_day:
            after = DAY_SECONDS - now % DAY_SECONDS
            raise ApiError(
                429,
                "insufficient_quota",
                f"The key may use {caller.tokens_per_day} tokens a day; {used} are used or promised, this request may "
                f"need {most_tokens} more: lower max_tokens, or come back after midnight UTC.",
                retry_after=after,
                retry=False,
            )


def _hostname(request: Request) -> str:
    host = request.headers.get("host", "").lower()
    return host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
