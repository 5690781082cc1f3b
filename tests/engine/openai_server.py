"""A small server that speaks the OpenAI API on loopback, as its relatives do, and misbehaves where a test says so.

It writes words drawn from the prompt, the seed and the position; greedy and filtered answers pass over the seed.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "words-1b"
KEY = "sk-test-0123456789"
WORDS = (" red", " green", " blue", " über", " grün", " 日本", " one", " two", " three", " four")
PLAIN = frozenset({"model", "messages", "prompt", "stream", "max_tokens", "temperature", "top_p", "seed", "logprobs"})
END = 999
"""Id of the end token, where ids are told."""

Misbehaviour = Callable[["Handler", dict[str, Any]], None]


@dataclass
class OpenAIServer:
    """Honest and plain as it stands: tests set one thing or another, also while it runs."""

    style: str = "plain"
    """`plain`, `vllm` or `llama.cpp`."""
    fields: frozenset[str] = PLAIN
    """What it takes; anything else is refused with status 422."""
    passes_over: frozenset[str] = frozenset()
    """Parameters that it takes and does not follow."""
    paths: frozenset[str] = frozenset({"/v1/chat/completions", "/v1/completions"})
    key: str = ""
    length: int = 12
    """Words of an answer."""
    context: int | None = None
    misbehave: Misbehaviour | None = None
    """Answers generations in place of the server."""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Path and body of every generation."""
    headers: list[dict[str, str]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Somebody left in the middle of an answer."""
    port: int = 0

    @property
    def spec(self) -> str:
        return f"openai:http://127.0.0.1:{self.port}/v1#{MODEL}"

    @contextmanager
    def run(self) -> Iterator["OpenAIServer"]:
        with _Server(("127.0.0.1", 0), Handler) as server:
            server.settings, self.port = self, server.server_address[1]
            thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _Server(ThreadingHTTPServer):
    settings: OpenAIServer
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.settings.hung_up.set()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server

    def do_GET(self) -> None:
        settings = self.server.settings
        if self.path == "/v1/models":
            entry = {"id": MODEL} | ({"max_model_len": settings.context} if settings.style == "vllm" else {})
            self.answer({"data": [entry]})
        elif self.path == "/props" and settings.style == "llama.cpp":
            self.answer({"default_generation_settings": {"n_ctx": settings.context}})
        else:
            self.answer({"error": {"message": "not found"}}, 404)

    def do_POST(self) -> None:
        settings = self.server.settings
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        settings.headers.append({name.lower(): value for name, value in self.headers.items()})
        if settings.key and self.headers.get("Authorization") != f"Bearer {settings.key}":
            self.answer({"error": {"message": "no such key"}}, 401)
        elif self.path in ("/tokenize", "/apply-template"):
            self._tokenize(body)
        elif self.path not in settings.paths:
            self.answer({"detail": "Not Found"}, 404)
        elif body["model"] != MODEL:
            self.answer({"error": {"message": f"no model {body['model']}"}}, 400)
        elif unknown := set(body) - settings.fields:
            self.answer({"detail": f"Unexpected fields: {sorted(unknown)}"}, 422)
        else:
            settings.asked.append((self.path, body))
            (settings.misbehave or Handler.generate)(self, body)

    def generate(self, body: dict[str, Any]) -> None:
        """The honest answer."""
        self.begin()
        for event in self.events(body):
            self.say(event)
        self.say(b"[DONE]")

    def begin(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/event-stream"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def say(self, event: bytes) -> None:
        self.wfile.write(b"data: " + event + b"\n\n")
        self.wfile.flush()

    def events(self, body: dict[str, Any]) -> Iterator[bytes]:
        settings = self.server.settings
        count = min(settings.length, body["max_tokens"])
        if "messages" in body:
            yield self._event("", 0, body) if settings.style == "vllm" else _choice({"delta": {"role": "assistant"}})
        for position in range(count):
            number = self._draw(body, position)
            yield self._event(WORDS[number], number, body)
        reason = "length" if count < settings.length else "stop"
        told = {"token_ids": [END]} if "return_token_ids" in body and reason == "stop" else {}
        yield _choice({"text": "", "delta": {}, "finish_reason": reason} | told)

    def answer(self, told: object, status: int = 200, **headers: str) -> None:
        data = json.dumps(told).encode()
        self.begin(status, Content_Type="application/json", Content_Length=str(len(data)), **headers)
        self.wfile.write(data)

    def _event(self, word: str, number: int, body: dict[str, Any]) -> bytes:
        settings = self.server.settings
        choice: dict[str, Any] = {"delta": {"content": word}} if "messages" in body else {"text": word}
        if word and settings.style != "plain" and "logprobs" in body:
            if settings.style == "vllm" and "prompt" in body:
                choice["logprobs"] = {"tokens": [word], "token_logprobs": [-0.5]}
            else:
                logged: dict[str, Any] = {"token": word, "logprob": -0.5}
                choice["logprobs"] = {"content": [logged | ({"id": number} if settings.style == "llama.cpp" else {})]}
        if "return_token_ids" in body:
            choice["token_ids"] = [number] if word else []
        return _choice(choice)

    def _draw(self, body: dict[str, Any], position: int) -> int:
        prompt = json.dumps(body.get("messages") or body.get("prompt"))
        filtered = ("top_k" not in self.server.settings.passes_over and body.get("top_k") == 1) or (
            "top_p" not in self.server.settings.passes_over and body["top_p"] < 0.01
        )
        seed = body["seed"] if body["temperature"] and not filtered else 0
        return hashlib.sha256(f"{prompt} {seed} {position}".encode()).digest()[0] % len(WORDS)

    def _tokenize(self, body: dict[str, Any]) -> None:
        style = self.server.settings.style
        if style == "vllm" and self.path == "/tokenize":
            text = body["prompt"] if "prompt" in body else "".join(turn["content"] for turn in body["messages"]) + "\n"
            self.answer({"tokens": [1, *text.encode()], "count": len(text)})
        elif style == "llama.cpp" and self.path == "/apply-template":
            self.answer({"prompt": "".join(turn["content"] for turn in body["messages"]) + "\n"})
        elif style == "llama.cpp":
            self.answer({"tokens": list(body.get("content", "").encode())})
        else:
            self.answer({"detail": "Not Found"}, 404)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests read what was asked."""


def _choice(choice: dict[str, Any]) -> bytes:
    return json.dumps({"object": "chunk", "choices": [{"index": 0, **choice}]}).encode()
