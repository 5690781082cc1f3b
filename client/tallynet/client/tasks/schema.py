"""The seam to jsonschema: whether a value is what a JSON schema (draft 2020-12, or the one it names) says."""

from collections.abc import Mapping
from typing import cast

from tallynet.protocol.errors import Misconfigured, UnfitAnswer
from tallynet.protocol.units import printable

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


def check_schema(schema: object) -> Mapping[str, Json]:
    """Raises `Misconfigured` for what is no JSON schema."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, Mapping):
        raise _no_schema(f"it is {type(schema).__name__}, no object")
    try:
        validator_for(schema).check_schema(schema)
    except (SchemaError, RecursionError) as error:
        raise _no_schema(printable(getattr(error, "message", str(error)))) from error
    return cast(Mapping[str, Json], schema)


def check_value(value: Json, schema: Mapping[str, Json], text: str) -> None:
    """Raises `UnfitAnswer`, with the model's `text`, when the value does not fit, and `Misconfigured` when the schema
    refers to another that is not inside it: nothing is fetched."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        wrong = best_match(validator_for(schema)(schema, registry=Registry()).iter_errors(value))
    except (Unresolvable, RecursionError) as error:
        raise _no_schema(f"it refers to what is not in it: {printable(str(error))}") from error
    if wrong is not None:
        raise UnfitAnswer(f"The answer does not fit the schema at {wrong.json_path}: {_said(wrong.message)}", text=text)


def _said(message: str) -> str:
    return printable(message, 300).rstrip(".") + "."


def _no_schema(what: str) -> Misconfigured:
    return Misconfigured(f"The schema is no JSON schema: {what}.", remedy="Correct the schema.")
