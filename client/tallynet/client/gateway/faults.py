"""What goes wrong, in OpenAI's words: a status, a type, a code that says what to do, and when to come back.

    {"error": {"message": "…", "type": "invalid_request_error", "param": "temperature", "code": "invalid_value"}}

`x-should-retry: false` goes with what would cost a second time: OpenAI's clients obey it.
"""

import math
from collections.abc import Mapping

from tallynet.client.answer_stream import OutOfTime
from tallynet.client.conversation import NodeRefused
from tallynet.client.terms import WrongTask
from tallynet.client.tools.definition import InvalidTools
from tallynet.protocol.errors import (
    Deferred,
    Invalid,
    InvalidJob,
    Misconfigured,
    NoNodes,
    Refused,
    TallyError,
    Unreachable,
)
from tallynet.protocol.units import printable

TYPES = {401: "authentication_error", 403: "permission_error", 408: "timeout_error", 429: "rate_limit_error"}
RETRY_SECONDS = 1
"""When to come back after a node was lost before its first words."""

_NODE_CODES = {
    2: "deadline_refused",
    5: "context_length_exceeded",
    6: "context_length_exceeded",
    7: "price_too_low",
    9: "unsupported_schema",
    10: "unsupported_parameter",
    11: "unsupported_parameter",
}
"""By the check of spec chapter 2 that a node names."""
_NODE_PARAMS = {9: "response_format", 10: "logit_bias", 11: "tools"}
"""The parameter that a check is about, where there is one."""


class ApiError(TallyError):
    """An answer that is an error. `name` is its `code` for programs; `message` says what to do as well."""

    def __init__(
        self,
        status: int,
        name: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        retry: bool = True,
        tally: Mapping[str, object] | None = None,
    ) -> None:
        """`retry_after` is in whole seconds; `retry` False for what must not be sent again by itself.

        `tally` is what there is of evidence, where a job had begun.
        """
        super().__init__(message)
        self.status = status
        self.name = name
        self.param = param
        self.retry_after = retry_after
        self.retry = retry
        self.tally = tally

    @property
    def body(self) -> dict[str, object]:
        """The JSON object, as OpenAI's clients read it; with `tally` beside it where there is evidence."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.name}
        return {"error": error} if self.tally is None else {"error": error, "tally": dict(self.tally)}

    @property
    def kind(self) -> str:
        """The `type`: of its status, else whose fault it is, below 500 the caller's."""
        return TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")

    @property
    def headers(self) -> dict[str, str]:
        """When to come again, in whole seconds, and whether a client may do so by itself."""
        after = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return after if self.retry else {**after, "x-should-retry": "false"}


def invalid(name: str, message: str, param: str | None = None) -> ApiError:
    """The request itself is wrong: 400."""
    return ApiError(400, name, message, param=param)


def translate(error: TallyError, tally: Mapping[str, object] | None = None) -> ApiError:
    """The answer to an error of the library. `tally`: what there is of evidence, where a job had begun."""
    if isinstance(error, ApiError):
        return error
    status, name, after, retry = _say(error)
    begun = tally is not None
    return ApiError(
        status, name, _text(error), param=_param(error), retry_after=after, retry=retry and not begun, tally=tally
    )


def whole_seconds(milliseconds: float) -> int:
    """For `Retry-After`: rounded up, 1 at least."""
    return max(1, math.ceil(round(milliseconds) / 1000))


def _say(error: TallyError) -> tuple[int, str, int | None, bool]:
    """Status, code, seconds until a retry makes sense, and whether a client may retry by itself."""
    match error:
        case WrongTask():
            return 400, "model_without_text" if error.embeds else "model_without_embeddings", None, True
        case InvalidTools():
            return 400, "invalid_value" if error.possible else "unsupported_parameter", None, True
        case InvalidJob() | Misconfigured():
            return 400, "invalid_request" if isinstance(error, InvalidJob) else "invalid_model", None, True
        case NodeRefused():
            return 400, _NODE_CODES.get(error.check, "job_refused"), None, True
        case OutOfTime():
            return 408, "deadline_exceeded", None, False
        case Invalid():
            return 502, error.code.replace("-", "_"), None, False
        case Deferred():
            return 503, "nodes_busy", whole_seconds(error.retry_after_ms), True
        case NoNodes():
            return 503, "no_nodes", 5, True
        case Unreachable() | Refused():
            return 503, error.code.replace("-", "_"), RETRY_SECONDS, True
        case _:
            return 500, "internal_error", None, False


def _param(error: TallyError) -> str | None:
    if isinstance(error, NodeRefused):
        return _NODE_PARAMS.get(error.check)
    if isinstance(error, InvalidTools):
        return error.parameter
    return "model" if isinstance(error, WrongTask) else None


def _text(error: TallyError) -> str:
    return printable(f"{error} {error.remedy}", 1000)
