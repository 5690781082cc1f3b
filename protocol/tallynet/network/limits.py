"""How much of this peer others may take, and how long it waits for them."""

from dataclasses import dataclass, fields

from tallynet.protocol.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Checked once, here; raises `Misconfigured` unless every limit is positive."""

    inbound_connections: int = 256
    """Connections that others opened; further ones are closed at once."""

    outbound_connections: int = 64
    """Connections that we opened and that no flood of inbound ones can take away from us."""

    connections_per_peer: int = 4
    """Connections with one peer id; more than one is honest when two programs share a key."""

    streams_per_peer: int = 64
    """Streams that one peer has open to us at a time; further ones are reset and no handler hears of them."""

    dial_seconds: float = 5.0
    """For one attempt to connect, and then for one attempt to open a stream."""

    open_seconds: float = 10.0
    """For `open` as a whole, a second attempt over a fresh connection included."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise Misconfigured(f"The network limit {field.name} is {getattr(self, field.name)}, not above 0.")
