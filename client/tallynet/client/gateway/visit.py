"""What is remembered of one HTTP request while it lasts: for the access log and the metrics, never a prompt."""

from dataclasses import dataclass, field

from tallynet.client.answer import Answer
from tallynet.client.gateway.keys import EVERYBODY, Caller


@dataclass
class Visit:
    """Filled as the request goes on."""

    method: str
    path: str
    began: float
    """Seconds, by the gateway's clock; so are all times here."""
    caller: Caller = EVERYBODY
    operation: str = ""
    """`chat`, `text_completion` or `embeddings`, as OpenTelemetry names them; empty for everything else."""
    model: str = ""
    """As the caller named it."""
    served: str = ""
    """As the node names it; empty when none was found, so that callers cannot fill the metrics with names."""
    user: str = ""
    error: str = ""
    """The code of the error that was answered."""
    status: int = 0
    first_text: float | None = None
    answers: list[Answer] = field(default_factory=list)
    """The runs of this request that have a receipt."""
