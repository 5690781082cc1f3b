"""What the port says of itself in `/openapi.json`: the bodies as `bodies` defines them, and every error's shape."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        },
        "tally": {"type": "object"},
    },
}
_STATUSES = {
    "400": "The request is wrong: `error.param` names the parameter, `error.code` the fault.",
    "401": "The API key is missing, unknown or revoked.",
    "403": "The host or the named nodes are not allowed.",
    "404": "There is no such model or receipt.",
    "408": "The body or the answer did not come in time.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "429": "Too often, or the day's tokens are used up: see `Retry-After`.",
    "502": "A node sent what does not hold.",
    "503": "No node can do it now: see `Retry-After`.",
}
_REF = "#/components/schemas/{name}"


def body_of(form: type[msgspec.Struct]) -> dict[str, object]:
    """The `openapi_extra` of a route that reads `form`."""
    schema = {"$ref": _REF.format(name=form.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def errors_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: these errors."""
    content = {"application/json": {"schema": {"$ref": _REF.format(name="Error")}}}
    return {status: {"description": _STATUSES[str(status)], "content": content} for status in statuses}


def describe(app: FastAPI, forms: Mapping[str, type[msgspec.Struct]]) -> None:
    """Give the application's own description the schemas of `forms` and of errors."""
    described = app.openapi()
    _, components = msgspec.json.schema_components(list(forms.values()), ref_template=_REF)
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    schemas.update({**components, "Error": _ERROR})
    bearer = {"type": "http", "scheme": "bearer"}
    described["components"]["securitySchemes"] = {"key": bearer}
    described["security"] = [{}, {"key": []}]
