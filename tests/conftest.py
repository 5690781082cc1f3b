"""What every test stands on: nothing is written into the folders of whoever runs them."""

import os
import signal
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """A shell's background job is started deaf to Ctrl-C, and so would be all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: many tests wait for processes of their own, for sockets and for the chain."""
    return 1 + (os.cpu_count() or 1)


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients of all tests keep their receipts here; processes that tests start inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALLYNET_STATE", str(tmp_path_factory.mktemp("state")))
        yield
