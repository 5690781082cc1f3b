"""A text that nobody has yet, in the words of a template: it can be written down and listed, and nothing else.

An `if` sees only that it is given. Whatever looks into it, a filter, a comparison, is refused: the template would have
to be filled in again when the text is there, and by everybody who checks what was asked.
"""

from typing import NoReturn

from tallynet.protocol.errors import Misconfigured


class Blank:
    """Stands for an input called `name`; written down it is `mark`."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str, mark: str) -> None:
        self._name = name
        self._mark = mark

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        self._refuse()

    def __repr__(self) -> str:
        self._refuse()

    def __eq__(self, other: object) -> bool:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()

    def __iter__(self) -> NoReturn:
        self._refuse()

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Misconfigured(
            f"The template does more with its input {self._name!r} than write it down: an answer cannot stand there.",
            remedy="Give it a value without {{ }}, or a list of texts where it takes several.",
        )


def written(value: object) -> object:
    """How Jinja2 writes a value down."""
    return value._mark if isinstance(value, Blank) else value
