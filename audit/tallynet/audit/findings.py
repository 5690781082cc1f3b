"""(6) What a watch sees, one line each: told to people, to programs and to a webhook."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import httpx
import trio
from rich.text import Text

from tallynet.console.moments import moment
from tallynet.protocol.fault import Fault
from tallynet.protocol.units import Address, Seconds, prefixed, printable

log = logging.getLogger(__name__)

WEBHOOK_SECONDS = 5.0
"""For one attempt."""
WEBHOOK_PAUSES = (1.0, 4.0, 0.0)
"""Seconds after each attempt that failed; as many attempts as there are pauses."""


class Weight(StrEnum):
    """How bad it is."""

    NOTE = "note"
    """The ordinary course of things."""
    WARNING = "warning"
    """Nothing is proven; somebody should look."""
    FAULT = "fault"
    """The node broke its word."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was seen."""

    node: Address
    kind: str
    """`anchor`, `slashed`; a fault's own name; `behind`, `rewritten`, `withheld`, `unreachable`, `refused`."""
    weight: Weight
    says: str
    time: Seconds
    """Of the newest block then."""
    fault: Fault | None = None
    evidence: str = ""
    """Name of the file written."""
    next: str = ""
    """The command that comes next, if there is one."""

    def line(self) -> Text:
        colour = {Weight.NOTE: "dim", Weight.WARNING: "yellow", Weight.FAULT: "bold red"}[self.weight]
        text = Text(f"{moment(self.time)}  ", style="dim").append(f"{self.kind:<11}", style=colour)
        text.append(f" {printable(self.says, 1000)}", style="default")
        return text.append(f"\n    {self.next}", style="default") if self.next else text

    def describe(self) -> dict[str, object]:
        """One line of `--json`, and the body that a webhook gets."""
        return {
            "event": self.kind,
            "weight": self.weight,
            "node": prefixed(self.node),
            "says": self.says,
            "time": self.time,
            "evidence": self.evidence or None,
            "next": self.next or None,
        }


Say = Callable[[Finding], None]


class Webhook:
    """Posts findings, one after the other; what cannot be posted is logged, and the watch goes on."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` replaces the network in tests."""
        self._url = url
        self._client = httpx.AsyncClient(timeout=WEBHOOK_SECONDS, transport=transport)

    async def post(self, finding: Finding) -> bool:
        """Whether it was taken, at the latest at the third attempt."""
        for attempt, pause in enumerate(WEBHOOK_PAUSES, 1):
            try:
                with trio.fail_after(WEBHOOK_SECONDS):
                    answer = await self._client.post(self._url, json=finding.describe())
                if answer.is_success:
                    return True
                said = f"status {answer.status_code}"
            except (httpx.HTTPError, httpx.InvalidURL, trio.TooSlowError) as error:
                said = str(error) or type(error).__name__
            log.warning("the webhook did not take a finding, attempt %d: %s", attempt, printable(said))
            await trio.sleep(pause)
        return False

    async def aclose(self) -> None:
        await self._client.aclose()
