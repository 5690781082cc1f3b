"""Times as people read them, always UTC."""

from datetime import UTC, datetime

from tallynet.protocol.units import Seconds

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999: what `datetime` can say."""


def moment(seconds: Seconds) -> str:
    """`2026-01-01 12:00:00 UTC`; a node's promise may lie beyond the calendar."""
    if seconds > _LAST_SECOND:
        return f"second {seconds}"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
