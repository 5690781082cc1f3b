"""What a node counts, for Prometheus and for `/status`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tallynet.protocol.errors import TallyError
from tallynet.protocol.leaf import Leaf


class Metrics:
    """One node's own registry, so that several nodes fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Counter(
            "tallynet_jobs", "Jobs in the log, by how they ended.", ["model", "status"], registry=self.registry
        )
        self.refused = Counter(
            "tallynet_refused", "Jobs not taken, by error code and check.", ["code", "check"], registry=self.registry
        )
        self.prompt_tokens = Counter(
            "tallynet_prompt_tokens", "Prompt tokens of logged jobs.", ["model"], registry=self.registry
        )
        self.completion_tokens = Counter(
            "tallynet_completion_tokens", "Answered tokens of logged jobs.", ["model"], registry=self.registry
        )
        self.seconds = Histogram(
            "tallynet_job_seconds", "From admission to receipt.", ["model"], registry=self.registry
        )
        self.log_size = Gauge("tallynet_log_size", "Entries in the log.", registry=self.registry)
        self.anchored_size = Gauge("tallynet_anchored_size", "Entries under an anchor.", registry=self.registry)
        self.anchor_gas = Counter("tallynet_anchor_gas", "Gas spent on anchors.", registry=self.registry)
        self.anchor_failures = Counter("tallynet_anchor_failures", "Anchors that failed.", registry=self.registry)
        self.running = Gauge("tallynet_jobs_running", "Jobs that run or wait.", ["model"], registry=self.registry)
        self.speed = Gauge("tallynet_tokens_per_second", "Measured decode speed.", ["model"], registry=self.registry)
        self.planned = Gauge(
            "tallynet_memory_planned_bytes", "What the model takes at most.", ["model"], registry=self.registry
        )
        self.resident = Gauge(
            "tallynet_memory_resident_bytes", "What its process holds now.", ["model"], registry=self.registry
        )
        self.node_resident = Gauge(
            "tallynet_node_memory_resident_bytes", "What the node and its models hold now.", registry=self.registry
        )

    def count(self, leaf: Leaf, model: str) -> None:
        """A job of a model, by its name, reached the log."""
        self.jobs.labels(model, leaf.status.name.lower()).inc()
        self.prompt_tokens.labels(model).inc(leaf.prompt_tokens)
        self.completion_tokens.labels(model).inc(leaf.completion_tokens)
        self.seconds.labels(model).observe(max(0, leaf.ended - leaf.started) / 1000)

    def refuse(self, error: TallyError) -> None:
        """A job, or what pretended to be one, was not taken."""
        self.refused.labels(error.code, str(getattr(error, "check", None) or 0)).inc()

    def text(self) -> bytes:
        """The Prometheus exposition format."""
        return generate_latest(self.registry)
