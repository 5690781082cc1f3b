"""From a configuration to engines: all of them, or a sentence that says which model is at fault."""

from pathlib import Path

import pytest

from tallynet.engine.budget import Wish
from tallynet.node import loading
from tallynet.node.config import NodeConfig
from tallynet.node.engines import Served
from tallynet.node.loading import load_engines
from tallynet.node.model_config import ModelTable
from tallynet.protocol.errors import Misconfigured, Unreachable
from tests.engine.openai_server import KEY, OpenAIServer
from tests.node.examples import valid_config


def config_of(folder: Path, *models: str | ModelTable, **settings: object) -> NodeConfig:
    return valid_config(folder, models=models, **settings)


def test_each_model_is_loaded_at_its_own_settings(tmp_path: Path) -> None:
    dear = ModelTable("fake:dear", slots=2, context_length=99, completion_price_wei=8)
    engines = load_engines(config_of(tmp_path, "fake:cheap", dear, slots=5, completion_price_wei=1))

    first, second = engines
    assert (first.name, first.engine.info.slots, first.completion_price) == ("cheap", 5, 1)
    assert (second.name, second.engine.info.slots, second.completion_price) == ("dear", 2, 8)
    assert second.engine.info.context_length == 99


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="^Model './nowhere': there is no model directory"):
        load_engines(config_of(tmp_path, "fake", "./nowhere"))


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="^Model 'openai:http://127.0.0.1:1/v1#m': "):
        load_engines(config_of(tmp_path, "fake", "openai:http://127.0.0.1:1/v1#m"))


def test_models_that_were_loaded_end_with_the_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(Served, "close", lambda served: closed.append(served.name))

    with pytest.raises(Misconfigured, match="no model directory"):
        load_engines(config_of(tmp_path, "fake:a", "fake:b", "./nowhere"))
    with pytest.raises(Misconfigured, match="is named 2 times"):
        load_engines(config_of(tmp_path, "fake:a", "fake:a"))
    assert closed == ["a", "b", "a", "a"]


def test_local_models_are_planned_together_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[Wish]] = []

    def plan(wishes: list[Wish]) -> list[int]:
        asked.append(wishes)
        raise Misconfigured("2 models need 9.9 GB together")

    monkeypatch.setattr(loading, "plan_apart", plan)
    tables = (ModelTable("./b", slots=3, context_length=50), ModelTable("./c", dtype="float32"))

    with pytest.raises(Misconfigured, match="9.9 GB together"):
        load_engines(config_of(tmp_path, "fake", *tables, device="cpu"))
    assert asked == [[Wish("./b", "cpu", "auto", 3, 50), Wish("./c", "cpu", "float32", 16, None)]]


def test_a_key_goes_to_its_own_server_alone(tmp_path: Path) -> None:
    with OpenAIServer(key=KEY).run() as theirs, OpenAIServer().run() as ours:
        spec = ours.spec.replace("127.0.0.1", "localhost")
        config = NodeConfig.build(
            {"keystore": "k", "data": "d", "network": "n",
             "models": [{"model": theirs.spec, "api_key_variable": "THEIR_KEY"}]},
            tmp_path, {"THEIR_KEY": KEY},
        )  # fmt: skip
        (served,) = load_engines(config)
        load_engines(config_of(tmp_path, spec))

    assert served.engine.info.evidence == "signature-only"
    assert all("authorization" not in headers for headers in ours.headers)
    assert any("authorization" in headers for headers in theirs.headers)
