"""The application: the routes in FastAPI, and how what goes wrong in them is answered."""

from collections.abc import Mapping

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from tallynet.client.gateway.access import Access
from tallynet.client.gateway.bodies import ChatBody, CompletionBody, EmbeddingsBody
from tallynet.client.gateway.faults import ApiError, translate
from tallynet.client.gateway.openapi import body_of, describe, errors_of
from tallynet.client.gateway.routes import Gateway, visit_of
from tallynet.protocol.errors import TallyError

EXPOSED = ["x-tally-job", "x-tally-node", "x-tally-evidence", "retry-after"]
"""Headers that a web page may read, where web pages may call at all."""
_ASKING = errors_of(400, 401, 403, 404, 408, 413, 415, 429, 502, 503)


def build_app(gateway: Gateway) -> ASGIApp:
    """The application, with the access log and the metrics around it."""
    app = FastAPI(title="Tallynet gateway", version="1", docs_url=None, redoc_url=None)
    app.exception_handler(TallyError)(_tell_error)
    app.exception_handler(HTTPException)(_tell_no_route)
    app.exception_handler(Exception)(_tell_bug)
    for path, route, form in (
        ("/v1/chat/completions", gateway.chat, ChatBody),
        ("/v1/completions", gateway.complete, CompletionBody),
        ("/v1/embeddings", gateway.embed, EmbeddingsBody),
    ):
        app.add_api_route(path, route, responses=_ASKING, openapi_extra=body_of(form), methods=["POST"])
    app.add_api_route("/v1/models", gateway.models, responses=errors_of(401, 403, 429, 503))
    for path, endpoint in (("/v1/models/{model:path}", gateway.model), ("/v1/receipts/{job}", gateway.receipt)):
        app.add_api_route(path, endpoint, responses=errors_of(400, 401, 403, 404, 429, 503))
    app.add_api_route("/healthz", gateway.healthz)
    app.add_api_route("/metrics", gateway.report, responses=errors_of(401, 403, 429))
    describe(app, {form.__name__: form for form in (ChatBody, CompletionBody, EmbeddingsBody)})
    if gateway.config.cors_origins:
        origins, exposed = list(gateway.config.cors_origins), EXPOSED
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=exposed
        )
    return Access(app, gateway.metrics, gateway.clock)


async def _tell_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TallyError)
    return _tell(request, translate(error))


async def _tell_no_route(request: Request, error: Exception) -> Response:
    """A path or a method that is not there."""
    assert isinstance(error, HTTPException)
    name = "method_not_allowed" if error.status_code == 405 else "not_found"
    told = ApiError(
        error.status_code, name, f"{request.method} {request.url.path[:100]} is not served: see /openapi.json."
    )
    visit_of(request).error = told.name
    return Response(
        msgspec.json.encode(told.body), told.status, {**(error.headers or {}), **told.headers}, "application/json"
    )


async def _tell_bug(request: Request, error: Exception) -> Response:
    """Our own fault: the server's log has the details."""
    return _tell(request, ApiError(500, "internal_error", "The gateway failed: its log says why.", retry=False))


def _tell(request: Request, error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
    visit_of(request).error = error.name
    return Response(
        msgspec.json.encode(error.body), error.status, {**(headers or {}), **error.headers}, "application/json"
    )
