"""From an operator's words to an engine, or to a sentence that says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import HFValidationError

from tallynet.engine import FakeEngine, open_engine
from tallynet.engine.checkpoint import Checkpoint, find_checkpoint
from tallynet.protocol.errors import Misconfigured, TallyError, Unreachable
from tests.engine.conftest import Directory

WITHOUT_TORCH = """
import sys
import tallynet.engine
tallynet.engine.open_engine("fake")
print(sorted({"torch", "transformers", "huggingface_hub", "numpy"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("spec", "name"), [("fake", "fake"), ("fake:", "fake"), ("fake:parrot", "parrot")])
def test_fake_is_opened_by_name(spec: str, name: str) -> None:
    engine = open_engine(spec, slots=3, context_length=99)

    assert isinstance(engine, FakeEngine)
    assert (engine.info.name, engine.info.slots, engine.info.context_length) == (name, 3, 99)


def test_fake_is_as_fast_as_its_spec_says() -> None:
    engine = open_engine("fake:snail@2.5")

    assert (engine.info.name, engine.load().tokens_per_second) == ("snail", 2.5)


@pytest.mark.parametrize("spec", ["fake:snail@", "fake:snail@fast", "fake:snail@0", "fake:snail@-1", "fake:snail@nan"])
def test_fake_with_a_speed_that_is_none_is_misconfigured(spec: str) -> None:
    with pytest.raises(Misconfigured, match="is no speed"):
        open_engine(spec)


def test_fake_needs_no_torch() -> None:
    shown = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


def test_directory_is_opened_under_its_name(checkpoint: Directory) -> None:
    engine = open_engine(str(checkpoint("llama")), context_length=50, slots=2)

    assert (engine.info.name, engine.info.context_length, engine.info.slots) == ("llama", 50, 2)


@pytest.mark.parametrize("spec", ["./nowhere", "/no/such/model", "~/none", "a/b/c", "", "what is this?"])
def test_no_such_directory_is_misconfigured(spec: str) -> None:
    with pytest.raises(Misconfigured, match="no model directory") as raised:
        find_checkpoint(spec)
    assert "hub id" in raised.value.remedy


def test_hub_id_is_fetched_at_its_revision_without_code_or_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None, list[str]]] = []

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_checkpoint("owner/model@v1.2") == Checkpoint("owner/model", tmp_path)
    assert find_checkpoint("gpt2") == Checkpoint("gpt2", tmp_path)
    assert [(repository, revision) for repository, revision, _ in asked] == [("owner/model", "v1.2"), ("gpt2", None)]
    assert not {pattern for pattern in asked[0][2] if pattern.endswith((".py", ".bin", ".pt", "*"))}


@pytest.mark.parametrize(
    ("raised", "translated"),
    [(HFValidationError("bad name"), Misconfigured), (ConnectionError("no route"), Unreachable)],
)
def test_failure_to_fetch_is_translated(
    raised: Exception, translated: type[TallyError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*args: object, **kwargs: object) -> str:
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(translated):
        find_checkpoint("owner/model")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "abacus"}, "device 'abacus'"),
        ({"device": "cuda:99"}, "device 'cuda:99'"),
        ({"dtype": "int3"}, "dtype 'int3'"),
        ({"slots": 0}, "at least one slot"),
        ({"context_length": 1}, "at least one slot"),
    ],
)
def test_wrong_settings_are_misconfigured(checkpoint: Directory, settings: dict[str, object], message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        open_engine(str(checkpoint("llama")), **settings)  # type: ignore[arg-type]


@pytest.fixture
def copy(checkpoint: Directory, tmp_path: Path) -> Path:
    return shutil.copytree(checkpoint("llama"), tmp_path / "model")


def test_weights_that_cannot_be_read_are_misconfigured(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"not safetensors")

    with pytest.raises(Misconfigured, match="cannot be loaded"):
        open_engine(str(copy))


def test_weights_that_lack_tensors_are_misconfigured(copy: Path) -> None:
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))

    with pytest.raises(Misconfigured, match=r"lack 9 .* model\.layers\.2\."):
        open_engine(str(copy))
