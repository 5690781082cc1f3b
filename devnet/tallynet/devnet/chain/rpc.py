"""JSON-RPC 2.0 over the embedded chain: one request or a batch in, one answer out, every fault an error object.

Source: the JSON-RPC 2.0 specification; error codes as go-ethereum gives them, because clients look at those.
"""

import json
import logging
from typing import Any

from tallynet.devnet.chain.calls import CallFailed
from tallynet.devnet.chain.evm import EmbeddedChain, TransactionRefused
from tallynet.devnet.chain.forms import hex_data
from tallynet.devnet.chain.methods import METHODS
from tallynet.devnet.chain.values import InvalidParams

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024
MAX_BATCH = 1000

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
REFUSED, REVERTED = -32000, 3


def answer(chain: EmbeddedChain, body: bytes) -> bytes:
    """Answer one HTTP body; never raises for what is in it. Empty for notifications alone."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        return _encode(_error(None, PARSE_ERROR, f"the body is not JSON: {error}"))
    if not isinstance(asked, list):
        return _encode(_answer_one(chain, asked))
    if not 0 < len(asked) <= MAX_BATCH:
        return _encode(_error(None, INVALID_REQUEST, f"a batch of {len(asked)} is not within 1 to {MAX_BATCH}"))
    answers = [one for one in (_answer_one(chain, request) for request in asked) if one is not None]
    return _encode(answers) if answers else b""


def too_large() -> bytes:
    return _encode(_error(None, INVALID_REQUEST, f"the body has more than {MAX_BODY_BYTES} bytes"))


def _answer_one(chain: EmbeddedChain, request: Any) -> Any:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _error(None, INVALID_REQUEST, "the request has no method")
    answer = _ask(chain, request.get("id"), request["method"], request.get("params", []))
    return answer if "id" in request else None


def _ask(chain: EmbeddedChain, name: Any, method: str, params: Any) -> Any:
    if method not in METHODS:
        return _error(name, UNKNOWN_METHOD, f"the method {method:.80} does not exist")
    if not isinstance(params, list):
        return _error(name, INVALID_PARAMS, "params is not a list")
    try:
        return {"jsonrpc": "2.0", "id": name, "result": METHODS[method](chain, params)}
    except InvalidParams as error:
        return _error(name, INVALID_PARAMS, str(error))
    except TransactionRefused as error:
        return _error(name, REFUSED, str(error))
    except CallFailed as error:
        if error.data is None:
            return _error(name, REFUSED, str(error))
        return _error(name, REVERTED, str(error), hex_data(error.data))
    except Exception:
        log.exception("%s failed", method)
        return _error(name, INTERNAL_ERROR, f"{method} failed inside the chain; its log says why")


def _error(name: Any, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    fault: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        fault["data"] = data
    return {"jsonrpc": "2.0", "id": name, "error": fault}


def _encode(value: Any) -> bytes:
    return b"" if value is None else json.dumps(value).encode()
