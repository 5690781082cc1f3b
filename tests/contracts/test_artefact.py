"""The committed artefact is what the sources compile to."""

import ast
import json
import re
from typing import Any

from tallynet.ledger import compile, events
from tallynet.ledger.artefact import artefact
from tallynet.protocol.eip712 import keccak

LEDGER = "\n".join(path.read_text() for path in sorted(compile.SOURCES.glob("*.vy")))
"""The contract and its modules."""
INTERFACE = (compile.SOURCES / "interfaces" / "ILedger.vyi").read_text()


def test_the_artefact_is_what_the_sources_compile_to() -> None:
    """If this fails, run `python -m tallynet.ledger.compile`."""
    assert json.loads(compile.ARTEFACT.read_text()) == compile.compiled()


def test_the_contract_fits_the_size_limit() -> None:
    """EIP-170."""
    assert len(artefact().bytecode) < 24_576


def test_the_events_have_the_topics_that_are_looked_for() -> None:
    abi: list[dict[str, Any]] = artefact().abi
    declared = {entry["name"]: entry["inputs"] for entry in abi if entry["type"] == "event"}
    topics = {
        keccak(f"{name}({','.join(member['type'] for member in members)})".encode())
        for name, members in declared.items()
    }

    assert topics == {
        events.REGISTERED,
        events.ANCHORED,
        events.RECORDED,
        events.ATTESTED,
        events.EXIT_BEGUN,
        events.WITHDRAWN,
        events.SLASHED,
        events.CHALLENGED,
        keccak(b"Answered(address,uint64,bytes)"),  # for people: whether a challenge is open is asked of the contract
    }


def functions(source: str) -> dict[str, str]:
    """The NatSpec of every external function, by its declaration up to the body."""
    found = re.findall(r'@external\n((?:@\w+\n)*def .+?:)\n    """(.+?)"""', source, flags=re.DOTALL)
    return {re.sub(r"\bILedger\.", "", declared): text for declared, text in found}


def test_every_function_of_the_interface_is_documented_and_implemented() -> None:
    promised, kept = functions(INTERFACE), functions(LEDGER)
    immutables = {name for name in promised if re.search(r"def [A-Z_]+\(", name)}

    assert set(promised) - immutables == set(kept)
    assert all("@notice" in text for text in promised.values())


def test_every_function_of_the_contract_has_natspec() -> None:
    declared = re.findall(r"^def \w+", LEDGER, flags=re.MULTILINE)
    documented = re.findall(r'^def \w+\([^"]*?:\n    """\n    @(?:notice|dev)', LEDGER, flags=re.MULTILINE)

    assert len(declared) == len(documented)


def test_every_refusal_says_who_speaks() -> None:
    said = re.findall(r'^ +assert [^"]+?, (?:\(\s*)?(".+?")', LEDGER, flags=re.MULTILINE)
    reasons = [ast.literal_eval(found) for found in said]

    assert len(reasons) == len(re.findall(r"^ +assert ", LEDGER, flags=re.MULTILINE))
    assert all(reason.startswith("ledger: ") for reason in reasons)


def test_nobody_owns_the_contract() -> None:
    """No owner, no pause, no proxy: nothing a name in the ABI would hint at."""
    names = {str(entry.get("name", "")).lower() for entry in artefact().abi}

    assert not [name for name in names if re.search("owner|admin|pause|upgrade|implementation|transfer", name)]
    assert "delegatecall" not in LEDGER
    assert "selfdestruct" not in LEDGER
