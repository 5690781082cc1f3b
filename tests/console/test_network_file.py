"""Network files: written whole, read strictly, found where the user says."""

from pathlib import Path

import pytest

from tallynet.console.folders import config_folder, data_folder
from tallynet.console.network_file import (
    MAX_BYTES,
    NetworkFile,
    NodeHint,
    default_path,
    read_network,
    write_network,
)
from tallynet.protocol.errors import Misconfigured

CONTRACT = "0x" + "ab" * 20
NETWORK = NetworkFile(
    rpc_url="http://127.0.0.1:8545",
    chain_id=31337,
    contract=CONTRACT,
    bootstrap=("/ip4/127.0.0.1/tcp/4001/p2p/16Uiu2",),
    nodes=(NodeHint(CONTRACT, "/ip4/127.0.0.1/tcp/4001/p2p/16Uiu2", "http://127.0.0.1:8080", "tally-tiny"),),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_network(tmp_path / "network.json", NETWORK)

    assert read_network(tmp_path / "network.json") == NETWORK
    assert [file.name for file in tmp_path.iterdir()] == ["network.json"]


def test_the_domain_is_that_of_chain_and_contract() -> None:
    assert NETWORK.domain.chain_id == 31337
    assert NETWORK.domain.contract == bytes.fromhex("ab" * 20)


@pytest.mark.parametrize(
    "change",
    [
        b'"chain_id": 0',
        b'"chain_id": -1',
        b'"chain_id": "1"',
        b'"contract": "0x12"',
        b'"contract": "' + CONTRACT.encode() + b'00"',
        b'"rpc_url": "file:///etc/passwd"',
        b'"confirmations": 0',
        b'"nonsense": 1',
        b'"name": "\xff"',
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, change: bytes) -> None:
    fields = {
        b"rpc_url": b'"http://localhost"', b"chain_id": b"1", b"contract": b'"' + CONTRACT.encode() + b'"'
    }  # fmt: skip
    key = change.split(b'"')[1]
    rest = b", ".join(b'"%s": %s' % item for item in fields.items() if item[0] != key)
    (tmp_path / "network.json").write_bytes(b"{" + rest + b", " + change + b"}")

    with pytest.raises(Misconfigured, match="is not valid"):
        read_network(tmp_path / "network.json")


def test_a_missing_file_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refusal:
        read_network(tmp_path / "network.json")

    assert "tallynet devnet up" in refusal.value.remedy


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_bytes(b" " * (MAX_BYTES + 1))

    with pytest.raises(Misconfigured, match="is larger than"):
        read_network(tmp_path / "network.json")


def test_the_environment_names_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYNET_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("TALLYNET_NETWORK", raising=False)
    assert default_path() == tmp_path / "config" / "network.json"

    monkeypatch.setenv("TALLYNET_NETWORK", str(tmp_path / "other.json"))
    assert default_path() == tmp_path / "other.json"


def test_folders_follow_the_xdg_specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TALLYNET_CONFIG", "TALLYNET_DATA", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    assert config_folder() == tmp_path / ".config" / "tallynet"
    assert data_folder() == tmp_path / "data" / "tallynet"
    assert data_folder().stat().st_mode & 0o777 == 0o700
