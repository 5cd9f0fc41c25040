"""Answers that a client may keep, and ask whether they still hold (RFC 9110, ETag and If-None-Match)."""

import hashlib
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel
from starlette.responses import Response

IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="The `ETag` of an answer that the client has")
]
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has this answer already"}}


def tagged(answer: BaseModel, if_none_match: str | None) -> Response:
    """Answer with a value; or with 304 where the client has it already."""
    body = answer.model_dump_json().encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    # To be kept by the client alone, and asked for each time.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in _tags(if_none_match or ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
