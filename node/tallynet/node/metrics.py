"""What a node counts, for Prometheus and for `/status`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tallynet.protocol.errors import TallyError
from tallynet.protocol.leaf import Leaf


class Metrics:
    """One node's own registry, so that several nodes fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Counter("tallynet_jobs", "Jobs in the log, by how they ended.", ["status"], registry=self.registry)
        self.refused = Counter(
            "tallynet_refused", "Jobs not taken, by error code and check.", ["code", "check"], registry=self.registry
        )
        self.prompt_tokens = Counter("tallynet_prompt_tokens", "Prompt tokens of logged jobs.", registry=self.registry)
        self.completion_tokens = Counter(
            "tallynet_completion_tokens", "Answered tokens of logged jobs.", registry=self.registry
        )
        self.seconds = Histogram("tallynet_job_seconds", "From admission to receipt.", registry=self.registry)
        self.log_size = Gauge("tallynet_log_size", "Entries in the log.", registry=self.registry)
        self.anchored_size = Gauge("tallynet_anchored_size", "Entries under an anchor.", registry=self.registry)
        self.anchor_gas = Counter("tallynet_anchor_gas", "Gas spent on anchors.", registry=self.registry)
        self.anchor_failures = Counter("tallynet_anchor_failures", "Anchors that failed.", registry=self.registry)
        self.running = Gauge("tallynet_jobs_running", "Jobs that run or wait.", registry=self.registry)
        self.speed = Gauge("tallynet_tokens_per_second", "Measured decode speed.", registry=self.registry)

    def count(self, leaf: Leaf) -> None:
        """A job reached the log."""
        self.jobs.labels(leaf.status.name.lower()).inc()
        self.prompt_tokens.inc(leaf.prompt_tokens)
        self.completion_tokens.inc(leaf.completion_tokens)
        self.seconds.observe(max(0, leaf.ended - leaf.started) / 1000)

    def refuse(self, error: TallyError) -> None:
        """A job, or what pretended to be one, was not taken."""
        self.refused.labels(error.code, str(getattr(error, "check", None) or 0)).inc()

    def text(self) -> bytes:
        """The Prometheus exposition format."""
        return generate_latest(self.registry)
