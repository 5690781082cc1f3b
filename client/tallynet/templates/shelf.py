"""Where templates are: those that ship with the package, and a folder of one's own, whose names come first.

A file is called `NAME-VERSION.toml`. A template is asked for by its name, which takes the highest version, or as
`NAME@VERSION`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Digest, printable
from tallynet.templates.template import MAX_TEMPLATE_BYTES, Template, read_template

SHIPPED = Path(__file__).parent / "shipped"
MAX_FILES = 1000
"""Of one folder."""

_FILE_NAME = re.compile(r"(?P<name>[a-z][a-z0-9-]{0,63})-(?P<version>[1-9][0-9]{0,3})\.toml")


def find_template(wanted: str, folder: Path | None = None) -> Template:
    """The template called `wanted`, in one's own `folder` or among those that ship. Raises `Misconfigured`."""
    name, _, version = wanted.partition("@")
    for place in _places(folder):
        versions = {number: path for found, number, path in _files(place) if found == name}
        if not version and versions:
            return _read(versions[max(versions)])
        if version.isascii() and version.isdigit() and int(version) in versions:
            return _read(versions[int(version)])
    raise Misconfigured(
        f"There is no template {printable(wanted)!r}.",
        remedy=f"There are: {', '.join(template.label for template in list_templates(folder))}.",
    )


def list_templates(folder: Path | None = None) -> list[Template]:
    """The newest version of each, by name. Raises `Misconfigured` for a file of one's own that is not valid."""
    names = {name for place in _places(folder) for name, _, _ in _files(place)}
    return [find_template(name, folder) for name in sorted(names)]


def find_shipped(digest: Digest) -> Template | None:
    """The template whose file has this SHA-256, of any version that ships; None for no such file."""
    shipped = (_read(path) for _, _, path in _files(SHIPPED))
    return next((template for template in shipped if template.digest == digest), None)


def _places(folder: Path | None) -> list[Path]:
    if folder is not None and not folder.is_dir():
        raise Misconfigured(f"The folder of templates {folder} does not exist.", remedy="Name a folder that does.")
    return [SHIPPED] if folder is None else [folder, SHIPPED]


def _files(place: Path) -> Iterator[tuple[str, int, Path]]:
    paths = sorted(place.glob("*.toml"))
    if len(paths) > MAX_FILES:
        raise Misconfigured(f"The folder {place} has more than {MAX_FILES} templates.", remedy="Use several folders.")
    for path in paths:
        if match := _FILE_NAME.fullmatch(path.name):
            yield match["name"], int(match["version"]), path


def _read(path: Path) -> Template:
    try:
        with path.open("rb") as file:
            template = read_template(file.read(MAX_TEMPLATE_BYTES + 1), str(path))
    except OSError as error:
        raise Misconfigured(
            f"The template {path} cannot be read: {error.strerror}.", remedy="Check the file."
        ) from error
    if path.name != f"{template.name}-{template.version}.toml":
        raise Misconfigured(
            f"The file {path} says that it is {template.label}.",
            remedy=f"Call it {template.name}-{template.version}.toml, or correct it.",
        )
    return template
