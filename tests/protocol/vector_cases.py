"""The committed vectors, as tests take them: one test a case, and the error that it names."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Invalid
from tests.protocol.generate_vectors import FOLDER

VECTORS: dict[str, Any] = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def cases(name: str, group: str) -> pytest.MarkDecorator:
    """One test for each case of a group, called by its reason where it has one."""
    found = VECTORS[name][group]
    return pytest.mark.parametrize("case", found, ids=[case.get("reason", str(at)) for at, case in enumerate(found)])


def hexed(value: str) -> Any:
    assert value.startswith("0x")
    return bytes.fromhex(value[2:])


def hexes(values: list[str]) -> Any:
    return tuple(hexed(value) for value in values)


def domain(case: Any) -> Domain:
    return Domain(int(case["chain_id"]), hexed(case["contract"]))


@contextmanager
def refuses(case: Any) -> Iterator[None]:
    """The block must raise the error and the check that the case names."""
    with pytest.raises(Invalid) as refusal:
        yield
    assert (refusal.value.code, refusal.value.check) == (case["error"], case["check"])
