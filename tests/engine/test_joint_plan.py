"""Several models in one memory: contexts shrink until all fit, those that were asked for never do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tallynet.engine import joint_plan, plan
from tallynet.engine.budget import Wish, plan_apart
from tallynet.engine.embedder import Embedder
from tallynet.engine.hardware import Hardware
from tallynet.engine.joint_plan import Planned, plan_together, total
from tallynet.engine.opening import has_plan
from tallynet.engine.plan import plan_memory
from tallynet.engine.resident import resident_bytes
from tallynet.protocol.errors import Misconfigured, Unreachable
from tests.engine.checkpoints import CONTEXT
from tests.engine.conftest import Directory
from tests.engine.embedders import CONTEXT as EMBEDDER_CONTEXT
from tests.engine.embedders import EMBEDDERS, make_embedder

CPU = torch.device("cpu")

Wishes = Callable[..., list[Wish]]


@pytest.fixture
def wishes(checkpoint: Directory) -> Wishes:
    """A Llama with more slots than a GPT-2, on the CPU."""

    def make(*contexts: int | None) -> list[Wish]:
        llama, gpt2 = (str(checkpoint(family)) for family in ("llama", "gpt2"))
        return [Wish(llama, "cpu", "float32", 64, contexts[0]), Wish(gpt2, "cpu", "float32", 2, contexts[1])]

    return make


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    monkeypatch.setattr(plan, "LEAST_CONTEXT", CONTEXT // 4)
    return lambda bytes_free: monkeypatch.setattr(joint_plan, "free_bytes", lambda device: bytes_free)


def contexts(planned: list[Planned]) -> list[int]:
    return [one.plan.context_length for one in planned]


def test_models_that_fit_have_their_whole_contexts(wishes: Wishes, free: Callable[[int], None]) -> None:
    planned = plan_together(wishes(None, None))
    free(total(planned))

    assert contexts(plan_together(wishes(None, None))) == [CONTEXT, CONTEXT]


def test_the_model_that_frees_most_is_shortened_first(wishes: Wishes, free: Callable[[int], None]) -> None:
    free(total(plan_together(wishes(None, None))) - 1)

    assert contexts(plan_together(wishes(None, None))) == [CONTEXT // 2, CONTEXT]


def test_a_context_that_was_asked_for_stays(wishes: Wishes, free: Callable[[int], None]) -> None:
    free(total(plan_together(wishes(CONTEXT, None))) - 1)

    assert contexts(plan_together(wishes(CONTEXT, None))) == [CONTEXT, CONTEXT // 2]


def test_models_that_do_not_fit_are_refused_with_what_each_needs(wishes: Wishes, free: Callable[[int], None]) -> None:
    free(total(plan_together(wishes(CONTEXT, CONTEXT))) - 1)

    with pytest.raises(Misconfigured, match="2 models need .* GB together.*llama.*64 slots of 128.*gpt2") as caught:
        plan_together(wishes(CONTEXT, CONTEXT))
    assert "context_length" in caught.value.remedy


def test_models_are_shortened_to_the_least_and_no_further(wishes: Wishes, free: Callable[[int], None]) -> None:
    least = [CONTEXT // 4, CONTEXT // 4]
    free(total(plan_together(wishes(*least))))
    assert contexts(plan_together(wishes(None, None))) == least

    free(total(plan_together(wishes(*least))) - 1)
    with pytest.raises(Misconfigured, match="need .* together"):
        plan_together(wishes(None, None))


def test_where_the_system_does_not_tell_everything_fits(wishes: Wishes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_plan, "free_bytes", lambda device: None)

    assert contexts(plan_together(wishes(None, None))) == [CONTEXT, CONTEXT]


def test_a_tokenizer_s_own_limit_counts(wishes: Wishes, checkpoint: Directory, tmp_path: Path) -> None:
    for file in checkpoint("gpt2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace(f'"model_max_length": {CONTEXT}', '"model_max_length": 77'))

    assert contexts(plan_together([Wish(str(tmp_path), "cpu", "float32", 2, None)])) == [77]


def test_a_model_that_is_none_is_refused(wishes: Wishes, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        plan_together([*wishes(None, None), Wish(str(tmp_path), "cpu", "float32", 2, None)])


@pytest.mark.parametrize("family", EMBEDDERS)
def test_an_embedding_model_keeps_nothing_of_a_prompt(family: str, tmp_path: Path) -> None:
    directory, hardware = make_embedder(family, tmp_path / family), Hardware(CPU, torch.float32)
    planned = plan_memory(directory, hardware, 16)
    weights = sum(parameter.nbytes for parameter in Embedder(directory, hardware).model.parameters())

    assert (planned.slots, planned.context_length) == (1, EMBEDDER_CONTEXT)
    assert planned.weights == weights
    assert (planned.packed, planned.kv, planned.prefixes) == (0, 0, 0)
    assert planned.workspace > 0


def test_another_process_finds_the_same(wishes: Wishes) -> None:
    assert plan_apart(wishes(None, 64)) == [CONTEXT, 64]


def test_what_is_wrong_crosses_the_processes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The planning process in this one."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        monkeypatch.setattr(sys, "argv", command[2:])
        joint_plan.main()
        sys.stdout.flush()
        return subprocess.CompletedProcess(command, 0, capfdbinary.readouterr().out)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Misconfigured, match="no model directory") as caught:
        plan_apart([Wish(str(tmp_path / "nowhere"), "cpu", "float32", 2, None)])
    assert "hub id" in caught.value.remedy


def test_a_process_that_ends_without_an_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(Unreachable, match="ended with code 1"):
        plan_apart([])


@pytest.mark.parametrize(
    ("spec", "planned"),
    [("fake", False), ("fake:parrot@10", False), ("openai:http://h/v1#m", False), ("./llama", True), ("a/b", True)],
)
def test_what_runs_elsewhere_has_no_plan(spec: str, planned: bool) -> None:
    assert has_plan(spec) is planned


def test_resident_memory_is_what_linux_tells() -> None:
    told = resident_bytes(os.getpid())

    assert told is None or told > 10_000_000
    assert resident_bytes(2**30) is None
