"""The HTTP API, put together."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from tertulia.api import (
    access,
    analytics,
    applications,
    candidates,
    channels,
    events,
    export,
    interventions,
    jobs,
    keys,
    messages,
    metrics,
    operations,
    problems,
    providers,
    resumes,
    sessions,
    tokens,
)
from tertulia.api.edge import Edge
from tertulia.api.metrics import RequestMetrics
from tertulia.api.openai import routes as openai
from tertulia.api.ports import ApiPorts
from tertulia.api.views import Problem

_DESCRIPTION = """\
Chats that run for days and lose nothing. A session is started for a person and an application (a *definition*); every
message is a *turn* with one reply.

* Every call that creates something can be repeated under an id of your choice (a field of the body, or the header
  `Idempotency-Key`): nothing is done twice.
* A refusal is `application/problem+json` (RFC 9457) with a stable `code`; its `type` leads to what to do about it.
* Reads come from storage, so that they work while the engine is down.
"""
_TAGS = [
    {"name": "sessions", "description": "Start, read, list, move, close"},
    {"name": "messages", "description": "Send in three ways; transcript, evidence, export"},
    {"name": "people in the loop", "description": "Take over, talk, give back; undo, regenerate, edit"},
    {"name": "users", "description": "By person"},
    {"name": "jobs", "description": "What people can apply for: questions, suggestions, candidates, CSV"},
    {"name": "applications", "description": "Their life cycle, answers, scores and timelines"},
    {"name": "candidates", "description": "What is known of a person; the résumé; erasure"},
    {"name": "channels", "description": "Messengers: their webhooks, and what became of what was sent there"},
    {"name": "providers", "description": "Who is asked, how they are, what they cost; changed while all goes on"},
    {"name": "openai", "description": "OpenAI's protocol: any client of it talks through the fallback"},
    {"name": "keys", "description": "Who may call: hand out, list, revoke"},
    {"name": "analytics", "description": "Figures about many conversations, as JSON and CSV"},
    {"name": "operations", "description": "Health, and what is on offer"},
]


def create_app(ports: ApiPorts) -> FastAPI:
    """Make the ASGI application.

    Args:
        ports: What it talks to; the caller opens and closes it.
    """
    app: FastAPI = FastAPIOffline(
        title="Tertulia",
        version="1",
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url="/openapi.json",
        redoc_url=None,
        static_url="/docs/static",
        generate_unique_id_function=_operation_id,
    )
    app.state.ports = ports
    app.state.request_metrics = RequestMetrics()
    for part in (
        sessions,
        tokens,
        messages,
        resumes,
        interventions,
        events,
        export,
        channels,
        jobs,
        applications,
        candidates,
        providers,
        keys,
        analytics,
        openai,
        operations,
        metrics,
    ):
        app.include_router(part.router)
    routes = access.declared(app)
    problems.install(app)
    if ports.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=ports.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-None-Match",
                "Last-Event-ID",
                "Prefer",
            ],
            expose_headers=["ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"],
        )
    app.add_middleware(
        Edge,
        metrics=app.state.request_metrics,
        max_body_bytes=ports.max_body_bytes,
        max_file_bytes=ports.max_file_bytes,
    )
    # FastAPI's own way to extend the description, https://fastapi.tiangolo.com/how-to/extending-openapi/
    app.openapi = lambda: _described(app, routes)  # type: ignore[method-assign]
    return app


def description() -> dict[str, Any]:
    """Describe the API in OpenAPI, with nothing behind it."""
    nothing: Any = None
    behind = {field.name: nothing for field in fields(ApiPorts) if field.default is MISSING}
    return create_app(ApiPorts(**behind)).openapi()


def _operation_id(route: APIRoute) -> str:
    return route.name


def _described(app: FastAPI, routes: Sequence[access.Declared]) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= problem.pop("$defs") | {"Problem": problem}
        access.describe(schema, routes)
        app.openapi_schema = schema
    return app.openapi_schema
