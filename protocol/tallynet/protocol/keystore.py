"""A key on disk, encrypted: the Web3 secret storage format that every Ethereum wallet reads.

It protects a copied file, not a running machine: who can read the process's memory or its password has the key.
"""

import json
import os
from pathlib import Path
from typing import Any

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.whole_file import beside

MAX_KEYSTORE_BYTES = 64 * 1024
_SCRYPT_N = 2**14
"""Work factor of a stretched password: about 50 ms. An empty password gains nothing from more."""


def write_keystore(path: Path, key: Key, password: str) -> None:
    """Encrypt `key` into a new file of mode 0600; raises `Misconfigured` when the file exists or cannot be made.

    The key is on the disk when this returns: a stake may depend on it from then on.
    """
    from eth_account import Account  # slow to import, needed only here

    sealed = Account.encrypt(key.secret, password, kdf="scrypt", iterations=_SCRYPT_N)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with beside(path, json.dumps(sealed).encode(), 0o600) as part:
            os.link(part, path)  # fails when `path` exists, so that no key is ever overwritten
        _sync_folder(path.parent)
    except FileExistsError as error:
        raise Misconfigured(
            f"There is already a key in {path}.", remedy="Use it, or choose another file for the new key."
        ) from error
    except OSError as error:
        raise Misconfigured(
            f"The key file {path} cannot be written: {error.strerror}.",
            remedy="Choose a folder that you may write to, on a disk that knows hard links.",
        ) from error


def read_keystore(path: Path, password: str) -> Key:
    """Decrypt the key in `path`; raises `Misconfigured` with what is wrong."""
    from eth_account import Account

    try:
        sealed = _read_sealed(path)
        secret = Account.decrypt(sealed, password)
    except OSError as error:
        raise Misconfigured(
            f"The key file {path} cannot be read: {error.strerror}.",
            remedy="Make a key with `tallynet node init`, or name the right file.",
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, NotImplementedError) as error:
        raise Misconfigured(
            f"The key file {path} cannot be opened: {error}.",
            remedy="Set TALLYNET_PASSWORD to the password that the key was made with.",
        ) from error
    return Key(bytes(secret))


def open_keystore(path: Path, password: str) -> Key:
    """The key in `path`; a new one is made and written there when there is none."""
    if not path.exists():
        write_keystore(path, Key.generate(), password)
    return read_keystore(path, password)


def _read_sealed(path: Path) -> Any:
    """The file's JSON object, still encrypted."""
    state = path.stat()
    if state.st_mode & 0o077:
        raise Misconfigured(f"The key file {path} can be read by others.", remedy=f"Run `chmod 600 {path}`.")
    try:
        if state.st_size > MAX_KEYSTORE_BYTES:
            raise ValueError(f"{state.st_size} bytes are more than {MAX_KEYSTORE_BYTES}")
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise Misconfigured(
            f"The file {path} is no key file: {error}.", remedy="Name the right file, or restore it from a copy."
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
