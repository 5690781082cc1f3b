"""A file of the user's is written whole or not at all."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.whole_file import mode_of, read_whole, write_whole

OLD, NEW = b"the old file", b"the new file, which is longer"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "a.tally"
    path.write_bytes(OLD)
    return path


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow over a few bytes: writing one fails in the middle, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(OLD), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tally"
    write_whole(path, NEW, "bundle")

    assert read_whole(path, 100, "bundle") == NEW
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_can_be_written_anew_with_its_permissions(old: Path) -> None:
    old.chmod(0o640)

    assert mode_of(old, new=0o600) == 0o640
    assert mode_of(old / "b.tally", new=0o600) == mode_of(old.with_name("b.tally"), new=0o600) == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_file_has_the_permissions_that_were_asked_for(old: Path, mode: int) -> None:
    old.chmod(0o640)
    write_whole(old, NEW, "bundle", mode)

    assert old.stat().st_mode & 0o777 == mode
    assert old.read_bytes() == NEW


def test_the_file_takes_its_name_once_it_is_on_the_disk(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, int]] = []

    def sync(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, os.fstat(handle).st_size))
        assert old.read_bytes() == OLD

    monkeypatch.setattr(os, "fsync", sync)
    write_whole(old, NEW, "bundle")

    assert synced == [(old.stat().st_ino, len(NEW))]


def test_the_old_file_stands_when_the_new_one_finds_no_room(old: Path) -> None:
    with pytest.raises(Misconfigured, match="The bundle .*a.tally cannot be written: File too large"), full_disk():
        write_whole(old, NEW, "bundle")

    assert old.read_bytes() == OLD
    assert list(old.parent.iterdir()) == [old]


def test_the_old_file_stands_when_the_disk_does_not_take_the_new_one(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Misconfigured, match="cannot be written: Input/output error"):
        write_whole(old, NEW, "bundle")

    assert old.read_bytes() == OLD
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("name", ["missing/b.tally", "a.tally/b.tally", "folder", ".", "n" * 300])
def test_a_place_where_no_file_can_be_is_said_in_two_sentences(old: Path, name: str) -> None:
    (old.parent / "folder").mkdir()
    with pytest.raises(Misconfigured, match="The report .* cannot be written: [A-Z].*") as caught:
        write_whole(old.parent / name, NEW, "report")

    assert caught.value.remedy == "Name a file in a folder that exists and that you may write to."
    assert {path.name for path in old.parent.iterdir()} == {"a.tally", "folder"}
    assert list((old.parent / "folder").iterdir()) == []


def test_a_bare_dot_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misconfigured, match=r"The export \. cannot be written"):
        write_whole(Path("."), NEW, "export")

    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_and_what_it_names_is_left_alone(old: Path) -> None:
    link = old.with_name("link.tally")
    link.symlink_to(old)
    write_whole(link, NEW, "bundle")

    assert not link.is_symlink() and link.read_bytes() == NEW
    assert old.read_bytes() == OLD


def test_no_more_is_read_than_one_byte_too_many(old: Path) -> None:
    assert read_whole(old, 5, "bundle") == OLD[:6]


def test_a_file_that_is_not_there_is_said_in_two_sentences(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"The bundle .* cannot be read: No such file or directory\.") as caught:
        read_whole(tmp_path / "none.tally", 100, "bundle", remedy="Name a .tally file.")

    assert caught.value.remedy == "Name a .tally file."
