"""What `devnet up` lays out before it starts anything."""

from pathlib import Path

import pytest

from tallynet.devnet.chain.accounts import funded_key
from tallynet.devnet.plan import Plan, occupied, prepare
from tallynet.node.config import NodeConfig
from tallynet.protocol.errors import Misconfigured


def plan(folder: Path, **change: object) -> Plan:
    return Plan(folder, **{"nodes": 2, "model": "fake", **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": 0}, "1 to 64 nodes, not 0"),
        ({"nodes": 65}, "1 to 64 nodes, not 65"),
        ({"chain": "bitcoin"}, "'bitcoin' is no chain"),
        ({"anchor_seconds": 0.0}, "anchor_seconds is 0"),
    ],
)
def test_an_impossible_plan_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        plan(tmp_path, **change)


def test_every_node_gets_a_configuration_that_a_node_can_read(tmp_path: Path) -> None:
    seats = prepare(plan(tmp_path, anchor_seconds=2.0))

    configs = [NodeConfig.read(seat.config, {}) for seat in seats]

    assert [config.data for config in configs] == [tmp_path / "node-1" / "data", tmp_path / "node-2" / "data"]
    assert {config.anchor_seconds for config in configs} == {2.0}
    assert {model.model for config in configs for model in config.served} == {"fake"}
    assert len({*(config.listen for config in configs), *(config.http for config in configs)}) == 4
    for seat, config in zip(seats, configs, strict=True):
        assert seat.member.multiaddr == f"{config.listen[0]}/p2p/{seat.member.key.peer_id}"


def test_a_model_directory_is_named_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)

    assert plan(tmp_path, model="model").model_source == str(tmp_path / "model")
    assert plan(tmp_path, model="owner/model").model_source == "owner/model"


def test_every_node_serves_all_models_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    seats = prepare(plan(tmp_path, more=("model", "openai:http://127.0.0.1:1/v1#m")))

    served = [[model.model for model in NodeConfig.read(seat.config, {}).served] for seat in seats]
    assert served == [["fake", str(tmp_path / "model"), "openai:http://127.0.0.1:1/v1#m"]] * 2


def test_a_second_start_keeps_the_keys_and_clears_the_logs(tmp_path: Path) -> None:
    first = prepare(plan(tmp_path))
    (tmp_path / "node-1" / "data").mkdir()
    stale = [tmp_path / "network.json", tmp_path / "chain.json", tmp_path / "node-1" / "data" / "log"]
    stale += [tmp_path / "node-1" / "node.log", tmp_path / "node-1" / "ready.json"]
    for file in stale:
        file.write_text("old")

    second = prepare(plan(tmp_path))

    assert [seat.member.key.address for seat in first] == [seat.member.key.address for seat in second]
    assert [file for file in stale if file.exists()] == []


def test_operator_and_node_have_different_keys_that_nobody_else_knows(tmp_path: Path) -> None:
    seats = prepare(plan(tmp_path))

    keys = {key.address for seat in seats for key in (seat.member.key, seat.member.operator)}

    assert len(keys) == 4
    assert funded_key().address not in keys
    assert {(seat.folder / "key.json").stat().st_mode & 0o777 for seat in seats} == {0o600}


def test_a_folder_holds_one_devnet_at_a_time(tmp_path: Path) -> None:
    with (
        occupied(tmp_path / "D"),
        pytest.raises(Misconfigured, match="A devnet is already running in"),
        occupied(tmp_path / "D"),
    ):
        pass
    with occupied(tmp_path / "D"):
        pass
