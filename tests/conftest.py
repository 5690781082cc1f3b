"""What every test stands on: nothing is written into the folders of whoever runs them."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients of all tests keep their receipts here; processes that tests start inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALLYNET_STATE", str(tmp_path_factory.mktemp("state")))
        yield
