"""What a gateway is started with."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tallynet.console.web import split_bind
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import MAX_TOKENS

ANY_PORT_REMEDY = "Choose another with --listen host:port, or port 0 for any free one."


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Checks itself; raises `Misconfigured`."""

    keys: Path
    """The SQLite file with API keys and what each of them has used."""
    listen: str = "127.0.0.1:8000"
    max_request_bytes: int = 1024 * 1024
    """Of a request's body; larger ones get 413."""
    body_seconds: float = 10.0
    """How long a caller may take to send the body; slower ones get 408."""
    deadline_seconds: float = 120.0
    """For one answer, its search, queue and receipt included, unless the request says less."""
    default_max_tokens: int = 256
    """Of a chat answer whose request names no limit."""
    max_open_jobs: int = 512
    """Jobs under way at the same time; more get 503 and a time to come back."""
    requests_per_minute: int = 600
    """Of one key, unless the key says otherwise; and of everybody together where no key is needed."""
    receipts_held: int = 1000
    """The last so many receipts are held in memory with question and answer, for `/v1/receipts`."""
    receipts: Path | None = None
    """The folder in which the client keeps receipts without texts; older ones are given from there."""
    cors_origins: tuple[str, ...] = ()
    """Web pages that may call the gateway from a browser; none by default."""

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float, float]] = {
            "max_request_bytes": (self.max_request_bytes, 1024, 64 * 1024 * 1024),
            "body_seconds": (self.body_seconds, 0.1, 3600),
            "deadline_seconds": (self.deadline_seconds, 0.1, 7 * 24 * 3600),
            "default_max_tokens": (self.default_max_tokens, 1, MAX_TOKENS),
            "max_open_jobs": (self.max_open_jobs, 1, 100_000),
            "requests_per_minute": (self.requests_per_minute, 1, 1_000_000),
            "receipts_held": (self.receipts_held, 1, 1_000_000),
        }
        for name, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise Misconfigured(f"{name} is {value:g}, not within {least:g} to {most:g}.")
        try:
            split_bind(self.listen)
        except ValueError as error:
            raise Misconfigured(f"{self.listen!r} is no address: {error}.", remedy=ANY_PORT_REMEDY) from error

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can reach the port."""
        host, _ = split_bind(self.listen)
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"
