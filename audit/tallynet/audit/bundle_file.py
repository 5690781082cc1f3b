"""A bundle on disk: read with a bound, replaced whole or not at all."""

from pathlib import Path

from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, Bundle, write_bundle
from tallynet.protocol.whole_file import mode_of, read_whole, write_whole


def read_file(path: Path) -> bytes:
    """The bytes of a file, at most one more than a bundle can have. Raises `Misconfigured` when it cannot be read."""
    return read_whole(path, MAX_BUNDLE_BYTES, "bundle", remedy="Name a .tally file that exists.")


def write_file(path: Path, bundle: Bundle) -> None:
    """Write `bundle` in place of the file, with its permissions; those of a new file are the owner's alone.

    A link is followed. Raises `Misconfigured` when it cannot be written, `InvalidBundle` for one over its caps.
    """
    path = path.resolve()
    write_whole(path, write_bundle(bundle).encode(), "bundle", mode_of(path, new=0o600))
