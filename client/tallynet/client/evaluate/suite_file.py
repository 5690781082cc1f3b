"""A suite from its folder: `suite.toml` with its parts, and for each part `NAME.jsonl` with an item a line.

    format = "tallynet-suite@v1"
    name = "mine"
    version = "1"

    [[parts]]
    name = "capitals"
    kind = "exact"
    max_tokens = 32

Everything is read with a bound and checked once, here.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tallynet.evaluation.suite import MAX_ITEMS, MAX_SUITE_BYTES, Suite, find_fault
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.json_depth import check_depth
from tallynet.protocol.units import printable

SHIPPED = Path(__file__).parent / "suites"
MANIFEST = "suite.toml"
MAX_MANIFEST_BYTES = 64 * 1024


def open_suite(named: str) -> Suite:
    """A suite that comes with the package, by its name, or else from a folder. Raises `Misconfigured`."""
    if named in shipped_suites():
        return read_suite(SHIPPED / named)
    if not Path(named).is_dir():
        raise Misconfigured(
            f"There is no suite {printable(named)!r}.",
            remedy=f"Name a folder with a {MANIFEST}, or one of ours: {', '.join(shipped_suites())}.",
        )
    return read_suite(Path(named))


def shipped_suites() -> list[str]:
    """The names of the suites that come with the package."""
    return sorted(folder.name for folder in SHIPPED.iterdir() if (folder / MANIFEST).is_file())


def read_suite(folder: Path) -> Suite:
    """Raises `Misconfigured`, with the file and the line, for a folder that holds no suite."""
    manifest = _read_manifest(folder / MANIFEST)
    parts = [_read_part(folder, part) for part in _parts(manifest, folder / MANIFEST)]
    try:
        suite = msgspec.convert({**manifest, "parts": parts}, Suite)
    except msgspec.ValidationError as error:
        raise _refuse(folder / MANIFEST, f"is not valid: {error}") from error
    if fault := find_fault(suite):
        raise _refuse(folder, f"holds no suite: {fault}")
    return suite


def _read_manifest(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_read(path, MAX_MANIFEST_BYTES).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refuse(path, f"is no TOML: {error}") from error


def _parts(manifest: dict[str, object], path: Path) -> list[dict[str, object]]:
    parts = manifest.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise _refuse(path, "has no list of [[parts]]")
    return parts


def _read_part(folder: Path, part: dict[str, object]) -> dict[str, object]:
    """The part with its items. Its name is that of a file, so it is looked at first."""
    name = part.get("name")
    if not isinstance(name, str) or not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789_-"):
        raise _refuse(folder / MANIFEST, f"has a part without a name of a-z, 0-9, - and _: {name!r}")
    if "items" in part:
        raise _refuse(folder / MANIFEST, f"holds the items of part {name!r}, which belong into {name}.jsonl")
    return {**part, "items": list(_read_items(folder / f"{name}.jsonl"))}


def _read_items(path: Path) -> Iterator[dict[str, object]]:
    lines = _read(path, MAX_SUITE_BYTES).splitlines()
    if len(lines) > MAX_ITEMS:
        raise _refuse(path, f"has {len(lines)} lines, more than {MAX_ITEMS} items")
    for number, line in enumerate(lines, 1):
        try:
            check_depth(line)
            yield msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _refuse(path, f"has no item on line {number}: {error}") from error


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise _refuse(path, f"cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise _refuse(path, f"has more than {most} bytes")
    return data


def _refuse(path: Path, what: str) -> Misconfigured:
    return Misconfigured(
        f"{path} {printable(what, 400)}.", remedy='Spec chapter 8, "Suites", tells what a suite\'s folder holds.'
    )
