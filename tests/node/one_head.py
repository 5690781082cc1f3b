"""Logs that are opened, and journals that sign nothing more."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallynet.node.journal import Journal, open_journal
from tallynet.node.signing import promise, state_head
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Seconds
from tests.node.examples import DOMAIN, NODE, valid_leaf

FOREIGN = "was extended, opened or replaced by somebody else"


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    with open_journal(folder, NODE.address, DOMAIN) as journal:
        yield journal


def signs_nothing(journal: Journal, words: str = FOREIGN) -> None:
    """None of the three signatures about the log is made."""
    for sign in (
        lambda: promise(journal, valid_leaf(0), 0, Seconds(1), DOMAIN, NODE),
        lambda: state_head(journal, DOMAIN, NODE),
        lambda: state_head(journal, DOMAIN, NODE, 1),
    ):
        with pytest.raises(Misconfigured, match=words):
            sign()
