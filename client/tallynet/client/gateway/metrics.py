"""What a gateway counts, under the names of OpenTelemetry's GenAI conventions as Prometheus writes them.

Labels hold only what nodes and we say: a model is named as the node names it, never as the caller did.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tallynet.client.answer import Answer
from tallynet.client.gateway.visit import Visit

_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
PROVIDER = "tallynet"


class Metrics:
    """One gateway's own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.tokens = Histogram(
            "gen_ai_client_token_usage", "Tokens of a run with a receipt.", (*_LABELS, "gen_ai_token_type"),
            buckets=_TOKENS, registry=registry,
        )  # fmt: skip
        self.duration = Histogram(
            "gen_ai_server_request_duration_seconds", "From the request to the end of the answer.",
            (*_LABELS, "error_type"), buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.first = Histogram(
            "gen_ai_server_time_to_first_token_seconds", "From the request to the first text.", _LABELS,
            buckets=_FIRST, registry=registry,
        )  # fmt: skip
        self.each = Histogram(
            "gen_ai_server_time_per_output_token_seconds", "Between tokens after the first chunk.", _LABELS,
            buckets=_FIRST, registry=registry,
        )  # fmt: skip
        self.requests = Counter("tallynet_gateway_requests", "HTTP requests.", ("status", "code"), registry=registry)
        self.price = Counter("tallynet_gateway_price_gwei", "What runs with a receipt cost.", registry=registry)
        self.open_jobs = Gauge("tallynet_gateway_open_jobs", "Jobs under way.", registry=registry)

    def count(self, visit: Visit, now: float) -> None:
        """A request has ended."""
        self.requests.labels(str(visit.status), visit.error).inc()
        if not visit.operation:
            return
        labels = (visit.operation, PROVIDER, visit.served)
        self.duration.labels(*labels, visit.error).observe(now - visit.began)
        if visit.first_text is not None:
            self.first.labels(*labels).observe(visit.first_text - visit.began)
        for answer in visit.answers:
            self._count_run(answer, labels)

    def text(self) -> bytes:
        """The Prometheus exposition format."""
        return generate_latest(self.registry)

    def _count_run(self, answer: Answer, labels: tuple[str, ...]) -> None:
        self.tokens.labels(*labels, "input").observe(answer.usage.prompt_tokens)
        self.tokens.labels(*labels, "output").observe(answer.usage.completion_tokens)
        self.price.inc(answer.price / 10**9)
        speed = answer.tokens_per_second
        if speed:
            self.each.labels(*labels).observe(1 / speed)
