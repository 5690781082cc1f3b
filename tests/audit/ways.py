"""Ways in which a bundle can be wrong: each a function that makes the file, with the check that must find it."""

from collections.abc import Callable
from dataclasses import dataclass

from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.eip712 import Domain

Made = bytes | str | Bundle
"""A file, or a bundle to write as one."""


@dataclass(frozen=True)
class Way:
    """One folder of the corpus."""

    name: str
    about: str
    """What is wrong, for people."""
    check: int
    words: str
    """What the message says, among other things."""
    network: Domain | None
    """The network that the reader compares with, where that is what finds it."""
    make: Callable[[], Made]

    @property
    def data(self) -> bytes:
        made = self.make()
        text = write_bundle(made) if isinstance(made, Bundle) else made
        return text.encode() if isinstance(text, str) else text


WAYS: dict[str, Way] = {}
"""All of them, by the folder's name."""


def way(check: int, words: str, network: Domain | None = None) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Registers a function under its name; its docstring says what is wrong."""

    def register(make: Callable[[], Made]) -> Callable[[], Made]:
        name = make.__name__.replace("_", "-")
        assert name not in WAYS and make.__doc__
        WAYS[name] = Way(name, make.__doc__, check, words, network, make)
        return make

    return register
