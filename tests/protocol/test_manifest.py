"""Manifests: a model's name is the digest of its files, and no path means more than one file."""

import hashlib
from typing import Any

import msgspec
import pytest

from tallynet.protocol.errors import InvalidManifest
from tallynet.protocol.manifest import Manifest, ManifestFile
from tests.protocol.examples import digest, valid_manifest

FILE = ManifestFile("config.json", 7, digest("config"))


def test_the_name_is_the_hash_that_the_chapter_says() -> None:
    by_hand = b"tallynet/model/1\0"
    for file in valid_manifest().files:
        by_hand += len(file.path).to_bytes(2, "big") + file.path.encode() + file.size.to_bytes(8, "big") + file.sha256

    assert valid_manifest().model_id == hashlib.sha256(by_hand).digest()


@pytest.mark.parametrize("changes", [{"path": "config.jsn"}, {"size": 8}, {"sha256": digest("other")}])
def test_every_part_of_a_file_decides_the_name(changes: dict[str, Any]) -> None:
    assert Manifest((msgspec.structs.replace(FILE, **changes),)).model_id != Manifest((FILE,)).model_id


def test_a_file_more_is_another_model() -> None:
    assert Manifest((FILE, ManifestFile("x", 0, digest("")))).model_id != Manifest((FILE,)).model_id


@pytest.mark.parametrize("paths", [("b", "a"), ("a", "a"), ("a", "b", "a")])
def test_1_paths_that_are_not_sorted_or_not_unique(paths: tuple[str, ...]) -> None:
    refused(1, *paths)


def test_the_order_is_that_of_the_code_points() -> None:
    """Not that of UTF-16 units, where the second would come first."""
    Manifest(tuple(ManifestFile(path, 1, digest(path)) for path in ("\ufb00", "\U00010000")))


@pytest.mark.parametrize(
    "path",
    ["/a", "..", "a/../b", "../a", "a\\b", "a\0b", ".", "./a", "a//b", "a/", "a\nb", "a\x1b[2Jb"],
)
def test_2_a_path_that_is_not_plain_and_relative(path: str) -> None:
    refused(2, path)


@pytest.mark.parametrize("path", ["...", "a..b", ".hidden", "onnx/model 1.onnx", "模型.json"])
def test_an_ordinary_path_is_taken(path: str) -> None:
    Manifest((ManifestFile(path, 1, digest(path)),))


def test_a_manifest_is_checked_wherever_it_is_read() -> None:
    data = msgspec.msgpack.encode({"files": [{"path": "../a", "size": 1, "sha256": bytes(32)}]})

    with pytest.raises(InvalidManifest):
        msgspec.msgpack.decode(data, type=Manifest)
    for files in ((), ({"path": "", "size": 1, "sha256": bytes(32)},)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.msgpack.decode(msgspec.msgpack.encode({"files": files}), type=Manifest)


def refused(number: int, *paths: str) -> None:
    with pytest.raises(InvalidManifest) as refusal:
        Manifest(tuple(ManifestFile(path, 1, digest(path)) for path in paths))
    assert refusal.value.check == number
