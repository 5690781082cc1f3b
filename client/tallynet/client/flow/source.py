"""A flow as a command is given it: a definition in YAML, or a finished flow file."""

from dataclasses import dataclass
from pathlib import Path

from tallynet.client.flow.definition import parse_definition
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.flow_checks import VerifiedFlow, verify_flow
from tallynet.protocol.flow_file import FLOW_MAGIC, MAX_FLOW_BYTES, parse_flow
from tallynet.protocol.flow_rules import CheckedFlow, check_flow


@dataclass(frozen=True, slots=True)
class Source:
    """What the file holds."""

    checked: CheckedFlow
    finished: VerifiedFlow | None
    """What a flow file proves by itself; None for a definition."""


def read_source(path: Path, templates: Path | None = None) -> Source:
    """`templates` is a folder of one's own, for a definition.

    Raises `Misconfigured` when the file cannot be read, `InvalidFlow` for what is in it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FLOW_BYTES + 1)
    except OSError as error:
        raise Misconfigured(
            f"The flow {path} cannot be read: {error.strerror}.", remedy="Name a .yaml or .flow.tally file."
        ) from error
    if not data.startswith(FLOW_MAGIC):
        return Source(parse_definition(data, templates), None)
    verified = verify_flow(parse_flow(data))
    return Source(check_flow(verified.file.plan.flow), verified)
