"""How often a key may ask: a token bucket each, in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tallynet.client.gateway.faults import ApiError, whole_seconds

MOST_BUCKETS = 100_000
"""Full buckets are forgotten beyond this many: a forgotten one is a full one."""


@dataclass
class _Bucket:
    left: float
    at: float


@dataclass
class Rates:
    """`clock` gives seconds. A key may ask `per_minute` times at once, and regains them evenly over a minute."""

    clock: Callable[[], float]
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def take(self, key: str, per_minute: int) -> None:
        """Count one request. Raises `ApiError` 429 with the time to come back."""
        now = self.clock()
        bucket = self._buckets.setdefault(key, _Bucket(per_minute, now))
        bucket.left = min(per_minute, bucket.left + (now - bucket.at) * per_minute / 60)
        bucket.at = now
        if bucket.left < 1:
            after = whole_seconds(60_000 * (1 - bucket.left) / per_minute)
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"More than {per_minute} requests a minute: come back in {after} s, or ask for a higher limit.",
                retry_after=after,
            )
        bucket.left -= 1
        if len(self._buckets) > MOST_BUCKETS:
            self._forget(now)

    def _forget(self, now: float) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if now - bucket.at < 60}
