"""The line to a server: the only file here that imports httpx. Its errors are translated and its answers measured.

The key is sent to the server named and nowhere else: no redirect is followed, no proxy of the environment is used,
and neither key nor prompt is logged.
"""

import json
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar, cast
from urllib.parse import urlsplit

import httpx
import msgspec
import trio

from tallynet.engine.upstream.events import DONE, EventReader, Part, malformed, read_parts
from tallynet.engine.upstream.questions import Fields, Question
from tallynet.protocol.errors import Busy, InvalidJob, Misconfigured, TallyError, Unreachable
from tallynet.protocol.json_depth import check_depth
from tallynet.protocol.units import printable

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""Longest time without a byte, the first included."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of an answer that is no stream: the ids of the longest prompt, several times."""
MAX_ERROR_BYTES = 16 * 1024

RETRY_MS = 2000
LONGEST_RETRY_SECONDS = 600.0
BUSY = (429, 503)
DENIED = (401, 403)
REFUSED = (400, 413, 422)
"""Statuses that mean the request itself."""

Told = TypeVar("Told")

REMEDY = "Send the job to another node; the operator finds the details in this node's log."


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and what it calls the model: `http://127.0.0.1:8080/v1#llama-3-8b`."""

    base: str
    """The URL before `/chat/completions`."""
    root: str
    """The same without `/v1`: where servers keep what is not in OpenAI's API."""
    model: str
    api_key: str = field(default="", repr=False)

    @classmethod
    def read(cls, text: str, api_key: str = "") -> Self:
        """Raises `Misconfigured`."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise _misread() from error
        plain = parts.scheme in ("http", "https") and parts.hostname and not parts.query and port != 0
        if not plain or parts.username is not None or not parts.fragment or not text.isprintable():
            raise _misread()
        if len(parts.fragment.encode()) > 128:
            raise Misconfigured("The name of an upstream's model has more than 128 bytes.")
        base = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        return cls(base, base.removesuffix("/v1"), parts.fragment, api_key)

    def client_settings(self, silence_seconds: float) -> dict[str, object]:
        headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "tallynet"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        timeout = httpx.Timeout(silence_seconds, connect=min(CONNECT_SECONDS, silence_seconds), pool=None)
        return {"headers": headers, "timeout": timeout, "trust_env": False, "follow_redirects": False}


class _Closable(Protocol):
    async def aclose(self) -> None: ...


class Caller:
    """Asks and waits, in the calling thread: for the start, before there is a loop."""

    def __init__(self, address: Address, silence_seconds: float = SILENCE_SECONDS) -> None:
        self.address = address
        self._client = httpx.Client(**address.client_settings(silence_seconds))  # type: ignore[arg-type]

    def stream(self, question: Question) -> Iterator[Part]:
        """The parts of one answer, to its end. Raises as `Line.stream`."""
        with _translated(), self._client.stream("POST", self.address.base + question.path, json=question.body) as said:
            if said.status_code != 200:
                raise _refusal(said, _bounded(said.iter_raw(), MAX_ERROR_BYTES))
            _check_plain(said)
            reader = EventReader()
            for data in said.iter_raw():
                for event in reader.feed(data):
                    if event == DONE:
                        return
                    yield from read_parts(event)

    def ask(self, url: str, body: Fields) -> Fields:
        """The JSON object that the server answers with. Raises as `Line.ask`."""
        with _translated(), self._client.stream("POST", url, json=body) as said:
            data = _bounded(said.iter_raw(), MAX_ANSWER_BYTES)
            return _object(said, data)

    def converse(self, steps: Generator[tuple[str, Fields], Fields, Told]) -> Told:
        """Ask for everything that `steps` wants to know; what they return."""
        try:
            url, body = next(steps)
            while True:
                url, body = steps.send(self.ask(url, body))
        except StopIteration as done:
            return cast(Told, done.value)

    def look(self, url: str) -> Fields:
        """The same for a GET."""
        with _translated(), self._client.stream("GET", url) as said:
            return _object(said, _bounded(said.iter_raw(), MAX_ANSWER_BYTES))

    def close(self) -> None:
        self._client.close()


class Line:
    """The same on trio, for many questions at once."""

    def __init__(self, address: Address, client: httpx.AsyncClient) -> None:
        self.address = address
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, address: Address, silence_seconds: float = SILENCE_SECONDS) -> AsyncIterator[Self]:
        settings = address.client_settings(silence_seconds)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, **settings) as client:  # type: ignore[arg-type]
            yield cls(address, client)

    @asynccontextmanager
    async def stream(self, question: Question) -> AsyncIterator[AsyncIterator[Part]]:
        """Entering waits until the server begins to answer; leaving ends the request at the server.

        Raises `InvalidJob` when the server calls the request wrong, `Busy` when it is full, `Unreachable` when it is
        gone, silent, failing, or sends what is no answer, also while it is read.
        """
        url = self.address.base + question.path
        with _translated():
            async with self._client.stream("POST", url, json=question.body) as said:
                if said.status_code != 200:
                    raise _refusal(said, await _abounded(said, MAX_ERROR_BYTES))
                _check_plain(said)
                async with _body(said) as raw:
                    yield _Parts(raw)

    async def ask(self, url: str, body: Fields) -> Fields:
        """The JSON object that the server answers with. Raises as `stream`."""
        with _translated():
            async with self._client.stream("POST", url, json=body) as said:
                return _object(said, await _abounded(said, MAX_ANSWER_BYTES))

    async def converse(self, steps: Generator[tuple[str, Fields], Fields, Told]) -> Told:
        """See `Caller.converse`."""
        try:
            url, body = next(steps)
            while True:
                url, body = steps.send(await self.ask(url, body))
        except StopIteration as done:
            return cast(Told, done.value)


class _Parts(AsyncIterator[Part]):
    """The parts of an answer; it ends when the server says that it has, or hangs up."""

    def __init__(self, raw: AsyncIterator[bytes]) -> None:
        self._raw = raw
        self._reader = EventReader()
        self._parts: list[Part] = []
        self._done = False

    async def __anext__(self) -> Part:
        while not self._parts:
            if self._done:
                raise StopAsyncIteration
            with _translated():
                self._read(await anext(self._raw))
        return self._parts.pop(0)

    def _read(self, data: bytes) -> None:
        for event in self._reader.feed(data):
            if event == DONE:
                self._done = True
                return
            self._parts.extend(read_parts(event))


@contextmanager
def _translated() -> Iterator[None]:
    """httpx's errors into ours; neither says what was sent."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Unreachable("the server behind this model does not answer in time", remedy=REMEDY) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        name = type(error).__name__
        raise Unreachable(f"the server behind this model cannot be reached: {name}", remedy=REMEDY) from error


def _refusal(said: httpx.Response, data: bytes) -> TallyError:
    """The error for a status that is not 200."""
    status = said.status_code
    if status in BUSY:
        return Busy("the server behind this model is full", retry_after_ms=_retry_ms(said.headers.get("retry-after")))
    if status in REFUSED:
        return InvalidJob(f"the server behind this model refuses the request: {_reason(data)}")
    if status in DENIED:
        return Unreachable("the server behind this model refuses the node's key", remedy=REMEDY)
    return Unreachable(f"the server behind this model answers with status {status}", remedy=REMEDY)


def _retry_ms(header: str | None) -> int:
    """What Retry-After says in seconds; a date, or nothing, counts as RETRY_MS."""
    if header is None or not header.isdecimal() or len(header) > 9:
        return RETRY_MS
    return int(1000 * min(max(float(header), 0.1), LONGEST_RETRY_SECONDS))


def _reason(data: bytes) -> str:
    """The server's own words, cut and made safe to show."""
    try:
        check_depth(data)
        told = json.loads(data)
    except (ValueError, RecursionError):
        return printable(data[:200].decode(errors="replace"))
    for name in ("error", "message", "detail"):
        if isinstance(told, dict) and name in told:
            told = told[name]
    return printable(told if isinstance(told, str) else json.dumps(told))


def _check_plain(said: httpx.Response) -> None:
    """Compressed bytes were not asked for, and could become any number of bytes."""
    if said.headers.get("content-encoding", "identity") != "identity":
        raise malformed("compressed bytes")


def _object(said: httpx.Response, data: bytes) -> Fields:
    if said.status_code != 200:
        raise _refusal(said, data)
    _check_plain(said)
    try:
        check_depth(data)
        return msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed("what is no JSON object") from error


def _bounded(parts: Iterator[bytes], limit: int) -> bytes:
    data = bytearray()
    for part in parts:
        data += part
        if len(data) > limit:
            raise malformed("a longer answer than there can be")
    return bytes(data)


@asynccontextmanager
async def _body(said: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes as they come; leaving closes the connection, which serves one request.

    httpx reads through generators within generators, and closes none of them: so whoever leaves early reads on here,
    on the closed connection, until each of them has ended.
    """
    raw = said.aiter_raw()
    try:
        yield raw
    finally:
        with trio.CancelScope(shield=True), suppress(httpx.HTTPError, httpx.StreamError):
            await cast(_Closable, said.extensions["network_stream"]).aclose()
            async for _ in raw:
                pass


async def _abounded(said: httpx.Response, limit: int) -> bytes:
    data = bytearray()
    async with _body(said) as parts:
        async for part in parts:
            data += part
            if len(data) > limit:
                raise malformed("a longer answer than there can be")
    return bytes(data)


def _misread() -> Misconfigured:
    """Without the text, which may hold a password."""
    return Misconfigured(
        "The setting of the upstream server is no address with a model's name.",
        remedy="Write openai:http://127.0.0.1:8080/v1#MODEL, without a password: the key has a setting of its own.",
    )
