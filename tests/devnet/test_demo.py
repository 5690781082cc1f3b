"""`tallynet demo` as its users run it, and what it would say if the cheat got away."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tallynet.devnet.outcome import Outcome
from tallynet.devnet.tampering import ALTERED_ANSWER
from tallynet.protocol.units import Address


def run_demo(*arguments: str) -> tuple[int, Any, str]:
    """Exit code, the object on stdout, and everything else that was said."""
    command = [sys.executable, "-m", "tallynet.devnet.command", "demo", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.stdout.count("\n") == 1, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def check(code: int, told: Any, said: str) -> None:
    assert code == 0, said
    assert told["jobs"] == told["receipts_verified"] == 4
    assert told["anchors"] >= 2
    assert 0 < told["gas_per_job"] < 150_000
    assert told["audit"]["verdict"] == "PASS"
    assert told["audit"]["entries_checked"] == 5  # the cheat's own log tells the truth about its run
    assert told["cheat"]["kind"] == "altered-answer"
    assert told["cheat"]["caught"] is True
    assert "chunk 0 is not signed by its node" in told["cheat"]["reason"]
    assert told["seconds"] > 0
    assert f"Caught: {told['cheat']['node']}" in said
    assert max(map(len, said.splitlines())) <= 80
    for step in ("Job", "Admission", "Generation", "Receipt", "Anchor", "Audit"):
        assert step in said


@pytest.mark.slow
def test_the_demo_with_a_fake_model_proves_everything() -> None:
    check(*run_demo("--model", "fake"))


@pytest.mark.slow
def test_the_demo_with_the_tiny_model_knows_the_capital_of_japan() -> None:
    code, told, said = run_demo()

    check(code, told, said)
    assert "Tokyo" in said


def test_a_model_that_is_not_there_is_named() -> None:
    code, told, _ = run_demo("--model", "/nowhere/at/all")

    assert code == 2
    assert "/nowhere/at/all" in told["error"]["message"]


def test_a_cheat_that_nobody_noticed_is_no_success() -> None:
    outcome = Outcome(ALTERED_ANSWER, Address(bytes(20)))

    assert not outcome.good
    assert outcome.describe()["cheat"] == {
        "kind": "altered-answer", "caught": False, "reason": "", "node": "0x" + "00" * 20
    }  # fmt: skip
    assert outcome.describe()["audit"] == {"verdict": "FAIL", "entries_checked": 0}
