"""A bundle on disk is replaced whole or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.audit.bundle_file import read_file, write_file
from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, read_bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.errors import InvalidBundle, Misconfigured
from tests.audit.examples import bundle

OLD = write_bundle(replace(bundle(), inclusion=None))


def saved(folder: Path) -> Path:
    path = folder / "a.tally"
    path.write_text(OLD)
    return path


def test_the_file_is_replaced_with_its_permissions(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.chmod(0o600)

    write_file(path, bundle())

    assert read_bundle(read_file(path)) == bundle()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path = saved(tmp_path)
    link = tmp_path / "link.tally"
    link.symlink_to(path)

    write_file(link, bundle())

    assert link.is_symlink()
    assert read_bundle(read_file(path)) == bundle()


def test_the_old_file_stands_when_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    path = saved(tmp_path)

    opening = bundle().opening
    assert isinstance(opening, Whole)

    with pytest.raises(InvalidBundle):
        write_file(path, replace(bundle(), opening=replace(opening, request=bytes(MAX_BUNDLE_BYTES))))

    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_the_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.tally"

    write_file(path, bundle())

    assert read_bundle(read_file(path)) == bundle()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_said_in_two_sentences(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"cannot be written: No such file or directory\.") as caught:
        write_file(tmp_path / "no" / "new.tally", bundle())

    assert caught.value.remedy.endswith(".")


def test_no_more_is_read_than_a_bundle_can_have(tmp_path: Path) -> None:
    path = tmp_path / "large.tally"
    path.write_bytes(bytes(MAX_BUNDLE_BYTES + 1000))

    assert len(read_file(path)) == MAX_BUNDLE_BYTES + 1


def test_a_file_that_is_not_there_is_said_in_two_sentences(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"cannot be read: No such file or directory\.") as caught:
        read_file(tmp_path / "none.tally")

    assert caught.value.remedy.endswith(".")
