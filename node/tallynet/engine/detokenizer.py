"""Token ids into text as they come, never half a character.

A tokenizer decodes a list of ids, not one id: a token may hold part of a character, or a space that depends on its
neighbour. So a small window of the latest ids is decoded again with each new one, and what it adds is the new text.
"""

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"
"""What decoders write for bytes that are no character, such as the first half of one."""

UNSURE = 3
"""Replacement characters at the end that may still become a character: an unfinished one has at most 3 bytes."""

Decode = Callable[[Sequence[int]], str]
"""A tokenizer's decoder."""


class Detokenizer:
    """The parts it returns, joined, are the decoded text of all its tokens.

    Bytes that never become a character come out as U+FFFD, a little late. The one exception to the equality are
    decoders that take back text they had written (a SentencePiece run of byte tokens that turns invalid): what was
    returned stays.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._settled = 0
        """How many ids of the window stand there only as neighbours: their text has been returned."""
        self._settled_length = 0
        """Characters of the neighbours' text."""
        self._shown = ""
        """The text of the window that has been returned, neighbours included."""

    def add(self, token: int) -> str:
        """The text that became certain with this token; may be empty."""
        self._window.append(token)
        text = self._decode(self._window)
        certain = _certain(text)
        if certain != text and not certain.startswith(self._shown):
            return ""
        new = self._new(certain)
        if certain == text:
            self._slide()
        return new

    def rest(self) -> str:
        """What was still uncertain at the end."""
        return self._new(self._decode(self._window))

    def _new(self, text: str) -> str:
        """What `text` has beyond the text that was returned."""
        if not text.startswith(self._shown):  # taken back by the decoder: decode without the neighbours
            return self._decode(self._window[self._settled :])[len(self._shown) - self._settled_length :]
        new = text[len(self._shown) :]
        self._shown = text
        return new

    def _slide(self) -> None:
        """All text so far is complete: keep the latest ids as neighbours of the next ones."""
        self._window = self._window[self._settled :]
        self._settled = len(self._window)
        self._shown = self._decode(self._window)
        self._settled_length = len(self._shown)


def _certain(text: str) -> str:
    for _ in range(UNSURE):
        text = text.removesuffix(REPLACEMENT)
    return text
