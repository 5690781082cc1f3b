"""Which files make a model, and which directories are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tallynet.engine import read_manifest
from tallynet.protocol.errors import Misconfigured
from tests.engine.conftest import Directory


@pytest.fixture
def directory(checkpoint: Directory, tmp_path: Path) -> Path:
    """A valid model, to break."""
    return shutil.copytree(checkpoint("llama"), tmp_path / "model")


def change_json(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_files_are_those_that_decide_the_output(directory: Path) -> None:
    (directory / "README.md").write_text("about")
    (directory / "pytorch_model.bin").write_bytes(b"never read")

    paths = [file.path for file in read_manifest(directory).files]
    expected = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert paths == expected


def test_same_files_elsewhere_are_the_same_model(directory: Path, checkpoint: Directory) -> None:
    assert read_manifest(directory).model_id == read_manifest(checkpoint("llama")).model_id


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_one_changed_byte_is_another_model(directory: Path, name: str) -> None:
    before = read_manifest(directory).model_id
    data = bytearray((directory / name).read_bytes())
    data[-2] ^= 1
    (directory / name).write_bytes(data)

    assert read_manifest(directory).model_id != before


def test_changed_setting_is_another_model(directory: Path) -> None:
    before = read_manifest(directory).model_id
    change_json(directory / "config.json", rms_norm_eps=1e-5)

    assert read_manifest(directory).model_id != before


def test_chat_template_file_is_part_of_the_model(directory: Path) -> None:
    before = read_manifest(directory).model_id
    (directory / "chat_template.jinja").write_text("{{ messages }}")

    assert read_manifest(directory).model_id != before


def test_shards_are_those_of_the_index(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))

    paths = [file.path for file in read_manifest(directory).files]
    assert "model-00001-of-00001.safetensors" in paths
    assert "model.safetensors.index.json" in paths


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", 7])
def test_shard_outside_the_directory_is_refused(directory: Path, shard: object) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))

    with pytest.raises(Misconfigured, match="does not list"):
        read_manifest(directory)


def test_pickled_weights_are_refused(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")

    with pytest.raises(Misconfigured, match="pickled weights"):
        read_manifest(directory)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("setting", ["auto_map", "transformers_weights"])
def test_settings_that_name_code_or_other_files_are_refused(directory: Path, name: str, setting: str) -> None:
    change_json(directory / name, **{setting: "elsewhere"})

    with pytest.raises(Misconfigured, match=setting):
        read_manifest(directory)


def test_python_code_is_refused(directory: Path) -> None:
    (directory / "modeling_mine.py").write_text("print('hello')")

    with pytest.raises(Misconfigured, match="modeling_mine.py"):
        read_manifest(directory)


def test_adapter_is_refused(directory: Path) -> None:
    (directory / "adapter_config.json").write_text("{}")

    with pytest.raises(Misconfigured, match="adapter"):
        read_manifest(directory)


def test_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"config\.json"):
        read_manifest(tmp_path)
