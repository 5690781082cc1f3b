"""The seam to Jinja2: a template's text and its inputs make the words of a prompt.

Inputs are foreign: they are never read as a template. A template is more like a program, chosen by whoever uses it:
it can reach nothing outside its inputs, and what it writes is bounded. Not protected: a template that computes for
ever, and models that obey what stands in a document.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.filters import do_join
from jinja2.nodes import EvalContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.request import MAX_REQUEST_BYTES
from tallynet.templates.blank import Blank, written
from tallynet.templates.languages import name_language


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox in which no text can be multiplied into gigabytes."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        raise SecurityError(f"templates do not compute: {operator} is not allowed")


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _language(value: object) -> object:
    """A language that is not known yet is written as it will be given."""
    return value if isinstance(value, Blank) else name_language(value)


@pass_eval_context
def _join(context: EvalContext, values: Iterable[object], between: str = "", attribute: str | int | None = None) -> str:
    """Jinja2's own, which can list blanks too."""
    joined: str = do_join(context, map(written, values), between, attribute)
    return joined


_ENVIRONMENT = _Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=written)
_ENVIRONMENT.filters |= {"language": _language, "json": _to_json, "join": _join}


def render(text: str, values: Mapping[str, object], name: str) -> str:
    """The words that `text` makes of `values`, without white space around them.

    Raises `Misconfigured`, with the template's `name`, for a template that cannot be read, that uses what is not
    given, or that writes more than a request can hold.
    """
    try:
        pieces, size = [], 0
        for piece in _ENVIRONMENT.from_string(text).generate(**values):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_REQUEST_BYTES:
                raise Misconfigured(
                    f"The template {name} writes more than {MAX_REQUEST_BYTES} characters.", remedy="Give it less text."
                )
        return "".join(pieces).strip()
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise Misconfigured(
            f"The template {name} cannot be filled in: {error}.", remedy="Give all its inputs, or correct the template."
        ) from error
