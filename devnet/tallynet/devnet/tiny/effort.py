"""How long training took: on the clock, and on the processors, which other programs do not lengthen much."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tallynet.devnet.tiny.artefact import RECIPE_FILE


class Effort:
    """Counts minutes from its creation, on top of those recorded with the model that training starts from."""

    def __init__(self, resumed: Path | None = None) -> None:
        """Start counting; ``resumed`` is a model directory with a recorded recipe, or None."""
        recorded = json.loads((resumed / RECIPE_FILE).read_text(encoding="utf-8")) if resumed else {}
        self._sittings = int(recorded.get("sittings", 0)) + 1
        self._minutes = float(recorded.get("minutes", 0)) - time.monotonic() / 60
        self._processor = float(recorded.get("processor_minutes", 0)) - time.process_time() / 60

    def spend(self) -> dict[str, float]:
        """So far: ``minutes`` on the clock, ``processor_minutes`` summed over all threads, ``sittings``."""
        return {
            "sittings": self._sittings,
            "minutes": round(self._minutes + time.monotonic() / 60, 1),
            "processor_minutes": round(self._processor + time.process_time() / 60, 1),
        }
