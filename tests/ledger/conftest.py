"""One anvil for all tests that need it."""

from collections.abc import Iterator

import pytest

from tests.ledger.anvil import Anvil, run_anvil


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with run_anvil(tmp_path_factory.mktemp("anvil")) as chain:
        yield chain
