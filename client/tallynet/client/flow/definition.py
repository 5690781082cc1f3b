"""A definition as people write it: YAML, read once and safely. The only file that knows YAML.

Of YAML only what JSON has too: no tags, no anchors (a few lines of them can stand for gigabytes), no key twice, and
`yes`, `no` and dates are texts. Source of the fields: spec chapter 7.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tallynet.client.flow.task_steps import write_tasks
from tallynet.protocol.errors import InvalidFlow, Misconfigured
from tallynet.protocol.flow import Flow
from tallynet.protocol.flow_rules import CheckedFlow, check_flow
from tallynet.protocol.units import printable

MAX_DEFINITION_BYTES = 1024 * 1024
MAX_DEPTH = 16
"""Of lists and maps within each other; a definition needs five."""


def read_definition(path: Path, templates: Path | None = None) -> CheckedFlow:
    """The flow in a YAML file, its tasks in the words of `templates`, a folder, or of those that ship.

    Raises `Misconfigured` when the file cannot be read, `InvalidFlow` for its content.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DEFINITION_BYTES + 1)
    except OSError as error:
        raise Misconfigured(f"The flow {path} cannot be read: {error.strerror}.", remedy="Name a file.") from error
    return parse_definition(data, templates)


def parse_definition(data: bytes, templates: Path | None = None) -> CheckedFlow:
    """The flow in the text of a YAML file. Raises `InvalidFlow`, check 2, with the step's name where it has one."""
    if len(data) > MAX_DEFINITION_BYTES:
        raise _unreadable(f"it has more than {MAX_DEFINITION_BYTES} bytes")
    try:
        return check_flow(msgspec.convert(write_tasks(_load(data), templates), Flow))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _unreadable(_where(error)) from error
    except msgspec.ValidationError as error:
        raise _unreadable(str(error)) from error


def _load(data: bytes) -> object:
    loader = _Loader(data.decode())
    try:
        value: object = loader.get_single_data()
        return value
    finally:
        loader.dispose()


def _where(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark and problem else str(error) or "it is nested too deeply"


def _unreadable(why: str) -> InvalidFlow:
    return InvalidFlow(f"the definition cannot be read: {printable(why)}", check=2, remedy="Correct it: chapter 7.")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML comes without types
    """PyYAML's safe loader, with less."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses aliases, and what is nested too deeply."""
        event = self.peek_event()
        if self.check_event(yaml.AliasEvent) or event.anchor is not None:
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not read", problem_mark=event.start_mark)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="it is nested too deeply", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuses a key that stands twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for at, key in enumerate(keys):
            if not isinstance(key, str) or key in keys[:at]:
                problem = f"{key!r} stands twice" if isinstance(key, str) else f"{key!r} is no text"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.value[at][0].start_mark)
        return dict(super().construct_mapping(node, deep=deep))


_PLAIN = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag in _PLAIN]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), list("tf"))
