"""Stop strings in a text that arrives in parts: what may be shown, what must wait, and where the answer ends."""


class StopScanner:
    """Passes text on up to the first stop string.

    The first stop string to be complete wins; of several complete at the same character, the one that begins first.
    So the answer depends on the text alone, not on how it was cut into parts.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False
        """A stop string was complete; nothing more is passed on."""

    def feed(self, text: str) -> str:
        """The text that is certain to belong to the answer, now that `text` has arrived."""
        if self.found or not self._stops:
            return "" if self.found else text
        self._held += text
        begin = self._begin_of_stop()
        self.found = begin is not None
        cut = len(self._held) - self._possible_stop() if begin is None else begin
        shown, self._held = self._held[:cut], "" if self.found else self._held[cut:]
        return shown

    def rest(self) -> str:
        """What was held back, at the end of the text."""
        shown, self._held = self._held, ""
        return shown

    def _begin_of_stop(self) -> int | None:
        begins = [(self._held.find(stop), stop) for stop in self._stops]
        complete = [(begin + len(stop), begin) for begin, stop in begins if begin >= 0]
        return min(complete)[1] if complete else None

    def _possible_stop(self) -> int:
        """Characters at the end that may become a stop string."""
        longest = min(max(map(len, self._stops)) - 1, len(self._held))
        for length in range(longest, 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
