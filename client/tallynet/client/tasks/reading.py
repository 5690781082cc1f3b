"""What a task makes of a model's words: the text itself, one of some labels, or JSON that fits a schema."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn, cast

from tallynet.client.tasks.schema import Json, check_schema, check_value
from tallynet.protocol.errors import Misconfigured, UnfitAnswer
from tallynet.protocol.json_depth import check_depth
from tallynet.protocol.units import printable
from tallynet.templates.template import Template


def check_inputs(template: Template, inputs: Mapping[str, object]) -> None:
    """Raise `Misconfigured`, before anything is paid, for inputs by which no answer could be judged."""
    if template.reads == "label":
        labels = inputs.get("labels")
        if not isinstance(labels, list | tuple) or not labels or not all(isinstance(label, str) for label in labels):
            raise Misconfigured("The labels must be a list of texts.", remedy="Give at least one.")
    if template.reads == "json":
        check_schema(inputs.get("schema"))


def read_value(template: Template, inputs: Mapping[str, object], text: str) -> Json:
    """The value of an answer. Raises `UnfitAnswer` when it is not what the task asks for."""
    if template.reads == "label":
        return read_label(text, cast(Sequence[str], inputs["labels"]))
    if template.reads == "json":
        value = read_json(text)
        check_value(value, cast(Mapping[str, Json], inputs["schema"]), text)
        return value
    return text.strip()


def read_label(text: str, labels: Sequence[str]) -> str:
    """The one label that the text is, or else the one that stands in it. Upper and lower case are the same."""
    bare = text.strip().strip("\"'`.!*").casefold()
    for label in labels:
        if bare == label.casefold():
            return label
    found = [label for label in labels if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text, re.IGNORECASE)]
    if len(found) != 1:
        said = "none of the labels" if not found else f"{len(found)} labels, {', '.join(found)}"
        raise UnfitAnswer(f"The answer names {said}: {printable(text)!r}.", text=text)
    return found[0]


def read_json(text: str) -> Json:
    """The first object or list in the text, whatever stands around it."""
    begin = re.search(r"[{\[]", text)
    if begin is None:
        raise UnfitAnswer(f"The answer holds no JSON: {printable(text)!r}.", text=text)
    try:
        check_depth(text[begin.start() :])
        value, _ = _DECODER.raw_decode(text, begin.start())
    except (ValueError, RecursionError) as error:
        raise UnfitAnswer(f"The answer holds no valid JSON: {error}.", text=text) from error
    return cast(Json, value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
