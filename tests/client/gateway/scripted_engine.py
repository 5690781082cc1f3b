"""An engine that says what a test tells it to say."""

import dataclasses

from tallynet.engine import FakeEngine, Generation
from tallynet.engine.engine import WISHES
from tallynet.engine.fake import END


class Scripted(FakeEngine):
    """Follows every wish by saying what it was told to say, byte by byte."""

    def __init__(self, script: str) -> None:
        super().__init__()
        self._script = script.encode()
        self._info = dataclasses.replace(self._info, wishes=WISHES)

    async def _next_token(self, generation: Generation, position: int) -> int:
        await super()._next_token(generation, position)
        return self._script[position] if position < len(self._script) else END
