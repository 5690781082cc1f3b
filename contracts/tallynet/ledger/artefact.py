"""The compiled contract, as committed in `ledger.json` (see `compile`)."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

Abi = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Artefact:
    abi: Abi
    bytecode: bytes
    """Creation code, without the constructor's arguments."""
    compiler: str
    source_sha256: dict[str, str]
    """Hex digest of each source file."""


@cache
def artefact() -> Artefact:
    """The artefact that this version of the package deploys and calls."""
    loaded = json.loads(files("tallynet.ledger").joinpath("ledger.json").read_text())
    bytecode = bytes.fromhex(loaded["bytecode"].removeprefix("0x"))
    return Artefact(loaded["abi"], bytecode, loaded["compiler"], loaded["source_sha256"])
