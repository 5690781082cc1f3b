"""Times as people read them, always UTC."""

from datetime import UTC, datetime

from tallynet.protocol.units import Seconds

_LAST = 253_402_300_799
"""The end of the year 9999: what `datetime` can say."""


def moment(time: Seconds) -> str:
    """`2026-01-01 12:00:00 UTC`; a time beyond the year 9999 as its number of seconds."""
    if time > _LAST:
        return f"second {time}"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
