"""A key on disk: what every Ethereum wallet reads, for its owner alone, never overwritten."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keystore import MAX_KEYSTORE_BYTES, open_keystore, read_keystore, write_keystore
from tests.protocol.examples import NODE, STRANGER

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a written key; stretching the password takes a while."""
    path = tmp_path_factory.mktemp("keystore") / "key.json"
    write_keystore(path, NODE, PASSWORD)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, sealed: bytes) -> Path:
    """A valid key file to break."""
    path = tmp_path / "node.key.json"
    path.write_bytes(sealed)
    path.chmod(0o600)
    return path


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_written_key_is_read_again(path: Path) -> None:
    assert read_keystore(path, PASSWORD).secret == NODE.secret


def test_eth_account_reads_the_file_and_we_read_its_files(path: Path, tmp_path: Path) -> None:
    assert bytes(Account.decrypt(path.read_text(), PASSWORD)) == NODE.secret

    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps(Account.encrypt(STRANGER.secret, "x", kdf="pbkdf2", iterations=10)))
    theirs.chmod(0o600)
    assert read_keystore(theirs, "x").secret == STRANGER.secret


def test_the_file_is_for_its_owner_alone_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.json"
    write_keystore(path, NODE, "")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert NODE.secret.hex() not in path.read_text()


def test_no_key_is_ever_overwritten(path: Path, sealed: bytes) -> None:
    with pytest.raises(Misconfigured, match="already a key"):
        write_keystore(path, STRANGER, PASSWORD)

    assert path.read_bytes() == sealed
    assert list(path.parent.iterdir()) == [path]


def test_opening_makes_a_key_once(tmp_path: Path) -> None:
    path = tmp_path / "new.json"

    assert open_keystore(path, "").secret == open_keystore(path, "").secret


def test_a_wrong_password_is_refused_with_the_variable_to_set(path: Path) -> None:
    with pytest.raises(Misconfigured) as refusal:
        read_keystore(path, PASSWORD + " ")

    assert "TALLYNET_PASSWORD" in refusal.value.remedy
    assert NODE.secret.hex() not in str(refusal.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_touch_is_refused_with_the_command_to_run(path: Path, mode: int) -> None:
    path.chmod(mode)

    with pytest.raises(Misconfigured) as refusal:
        read_keystore(path, PASSWORD)
    assert "chmod 600" in refusal.value.remedy


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b"7", b"null", b"{}", b"\xff\xfe", b"[" * 60_000])
def test_a_file_that_is_no_key_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)

    with pytest.raises(Misconfigured):
        read_keystore(path, PASSWORD)


def test_a_truncated_key_is_refused(path: Path, sealed: bytes) -> None:
    for length in range(0, len(sealed), 37):
        path.write_bytes(sealed[:length])
        with pytest.raises(Misconfigured, match="no key file"):
            read_keystore(path, PASSWORD)


def test_a_huge_file_is_not_read(path: Path) -> None:
    path.write_bytes(b" " * (MAX_KEYSTORE_BYTES + 1))

    with pytest.raises(Misconfigured, match="65537 bytes"):
        read_keystore(path, PASSWORD)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 4},
        {"version": None},
        {"crypto": None},
        {"crypto": "x"},
        {"crypto": {}},
        {"crypto": {"kdf": "scrypt", "kdfparams": "x"}},
        {"crypto": {"kdf": "scrypt", "kdfparams": {"n": -1, "r": 8, "p": 1, "dklen": 32, "salt": "00"}}},
        {"crypto": {"kdf": "scrypt", "kdfparams": {"n": 1.5, "r": 8, "p": 1, "dklen": 32, "salt": 7}}},
        {"crypto": {"kdf": "rot13"}},
    ],
)
def test_a_key_file_of_another_form_is_refused(path: Path, changes: dict[str, Any]) -> None:
    change(path, **changes)

    with pytest.raises(Misconfigured):
        read_keystore(path, PASSWORD)


def test_a_missing_file_and_a_folder_are_refused_with_their_reason(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file"):
        read_keystore(tmp_path / "none.json", "")
    tmp_path.chmod(0o700)
    with pytest.raises(Misconfigured, match="Is a directory"):
        read_keystore(tmp_path, "")


def test_a_folder_that_cannot_be_made_is_refused(path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written|already a key"):
        write_keystore(path / "below" / "key.json", NODE, "")
