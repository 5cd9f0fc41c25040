import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tertulia.api.app import description

ROOT = Path(__file__).parents[2]
OPERATIONS = {
    "start_session": ("post", "/v1/sessions"),
    "list_sessions": ("get", "/v1/sessions"),
    "list_sessions_of_user": ("get", "/v1/users/{user_id}/sessions"),
    "read_session": ("get", "/v1/sessions/{session_id}"),
    "close_session": ("delete", "/v1/sessions/{session_id}"),
    "change_state": ("put", "/v1/sessions/{session_id}/state"),
    "cancel_turn": ("post", "/v1/sessions/{session_id}/cancel-turn"),
    "hand_over": ("post", "/v1/sessions/{session_id}/hand-over"),
    "take_back": ("post", "/v1/sessions/{session_id}/take-back"),
    "say_as_operator": ("post", "/v1/sessions/{session_id}/operator-messages"),
    "undo": ("post", "/v1/sessions/{session_id}/undo"),
    "regenerate": ("post", "/v1/sessions/{session_id}/regenerate"),
    "edit_slot": ("put", "/v1/sessions/{session_id}/slots/{slot}"),
    "send_message": ("post", "/v1/sessions/{session_id}/messages"),
    "follow_session": ("get", "/v1/sessions/{session_id}/events"),
    "send_resume": ("put", "/v1/sessions/{session_id}/resume"),
    "list_messages": ("get", "/v1/sessions/{session_id}/messages"),
    "read_receipt": ("get", "/v1/sessions/{session_id}/messages/{message_id}"),
    "read_turn": ("get", "/v1/sessions/{session_id}/turns/{turn}"),
    "export_session": ("get", "/v1/sessions/{session_id}/export"),
    "verify_whatsapp": ("get", "/v1/webhooks/whatsapp"),
    "receive_from_whatsapp": ("post", "/v1/webhooks/whatsapp"),
    "receive_from_telegram": ("post", "/v1/webhooks/telegram/{secret}"),
    "list_deliveries": ("get", "/v1/sessions/{session_id}/deliveries"),
    "complete_chat": ("post", "/v1/chat/completions"),
    "list_models": ("get", "/v1/models"),
    "read_model": ("get", "/v1/models/{model}"),
    "list_definitions": ("get", "/v1/definitions"),
    "create_job": ("post", "/v1/jobs"),
    "list_jobs": ("get", "/v1/jobs"),
    "read_job": ("get", "/v1/jobs/{job_id}"),
    "update_job": ("patch", "/v1/jobs/{job_id}"),
    "close_job": ("post", "/v1/jobs/{job_id}/close"),
    "list_questions": ("get", "/v1/jobs/{job_id}/questions"),
    "put_question": ("put", "/v1/jobs/{job_id}/questions/{qid}"),
    "delete_question": ("delete", "/v1/jobs/{job_id}/questions/{qid}"),
    "suggest_questions": ("post", "/v1/jobs/{job_id}/questions/suggest"),
    "list_candidates": ("get", "/v1/jobs/{job_id}/candidates"),
    "apply": ("post", "/v1/applications"),
    "list_applications": ("get", "/v1/applications"),
    "read_application": ("get", "/v1/applications/{application_id}"),
    "give_answers": ("patch", "/v1/applications/{application_id}/answers"),
    "move_application": ("post", "/v1/applications/{application_id}/transition"),
    "read_timeline": ("get", "/v1/applications/{application_id}/timeline"),
    "read_profile": ("get", "/v1/candidates/{user_id}"),
    "update_profile": ("patch", "/v1/candidates/{user_id}"),
    "erase_candidate": ("delete", "/v1/candidates/{user_id}"),
    "upload_resume": ("put", "/v1/candidates/{user_id}/resume"),
    "read_resume": ("get", "/v1/candidates/{user_id}/resume"),
    "erase_resume": ("delete", "/v1/candidates/{user_id}/resume"),
    "download_resume": ("get", "/v1/candidates/{user_id}/resume/file"),
    "list_providers": ("get", "/v1/providers"),
    "add_provider": ("post", "/v1/providers"),
    "update_provider": ("patch", "/v1/providers/{name}"),
    "remove_provider": ("delete", "/v1/providers/{name}"),
    "read_provider_status": ("get", "/v1/providers/status"),
    "read_provider_metrics": ("get", "/v1/providers/metrics"),
    "decide_provider": ("get", "/v1/providers/decision"),
    "read_provider_history": ("get", "/v1/providers/{name}/history"),
    "start_maintenance": ("put", "/v1/providers/{name}/maintenance"),
    "end_maintenance": ("delete", "/v1/providers/{name}/maintenance"),
    "check_provider": ("post", "/v1/providers/{name}/check"),
    "read_budget": ("get", "/v1/tenants/{tenant}/budget"),
    "set_budget": ("put", "/v1/tenants/{tenant}/budget"),
    "remove_budget": ("delete", "/v1/tenants/{tenant}/budget"),
    "create_session_token": ("post", "/v1/sessions/{session_id}/token"),
    "create_key": ("post", "/v1/keys"),
    "list_keys": ("get", "/v1/keys"),
    "revoke_key": ("delete", "/v1/keys/{key_id}"),
    "read_funnel": ("get", "/v1/analytics/funnel"),
    "read_state_times": ("get", "/v1/analytics/state-times"),
    "read_slots": ("get", "/v1/analytics/slots"),
    "read_knock_outs": ("get", "/v1/analytics/knock-outs"),
    "read_response_times": ("get", "/v1/analytics/response-times"),
    "read_volumes": ("get", "/v1/analytics/volumes"),
    "read_outcomes": ("get", "/v1/analytics/outcomes"),
    "read_costs": ("get", "/v1/analytics/costs"),
    "read_provider_success": ("get", "/v1/analytics/providers"),
    "read_metrics": ("get", "/metrics"),
    "check_alive": ("get", "/healthz"),
    "check_ready": ("get", "/readyz"),
    "explain_problem": ("get", "/problems/{code}"),
}


@pytest.fixture
async def described(api: httpx.AsyncClient) -> dict[str, Any]:
    description: dict[str, Any] = (await api.get("/openapi.json")).json()
    return description


def test_operations_keep_their_ids(described: dict[str, Any]) -> None:
    found = {
        operation["operationId"]: (method, path)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }

    assert found == OPERATIONS


def test_the_description_in_the_repository_is_the_apis_own(described: dict[str, Any]) -> None:
    assert json.loads((ROOT / "docs/openapi.json").read_text()) == described, "`make openapi` writes it anew"


def test_a_description_needs_nothing_behind_the_api(described: dict[str, Any]) -> None:
    assert description() == described


def test_every_call_says_what_it_asks_of_its_caller(described: dict[str, Any]) -> None:
    scopes = {
        operation["operationId"]: [scope for way in operation["security"] for scope in way.get("key", [])]
        for methods in described["paths"].values()
        for operation in methods.values()
    }

    assert scopes["check_alive"] == []
    assert (scopes["send_message"], scopes["change_state"], scopes["create_key"]) == (["chat"], ["operate"], ["admin"])


def test_every_refusal_is_described_as_a_problem(described: dict[str, Any]) -> None:
    refusals = [
        (operation["tags"], answer["content"])
        for methods in described["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]

    assert len(refusals) > len(OPERATIONS)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    of_openai = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    assert all(refusal == (of_openai if tags == ["openai"] else problem) for tags, refusal in refusals)


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]

    assert {name.removeprefix("#/components/schemas/") for name in _references(described)} <= schemas.keys()


def test_every_operation_says_what_it_does_and_every_body_has_an_example(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for path, operation in [(path, each) for path, methods in described["paths"].items() for each in methods.values()]:
        assert operation["description"]
        assert operation["tags"]
        if "webhooks" in path:
            continue  # Their bodies are described by the platforms.
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if media_type == "application/octet-stream":
                continue  # A file has no fields.
            assert schemas[content["schema"]["$ref"].rpartition("/")[2]]["examples"]


def test_the_three_ways_to_send_are_described(described: dict[str, Any]) -> None:
    answers = described["paths"]["/v1/sessions/{session_id}/messages"]["post"]["responses"]

    assert answers.keys() == {"200", "202", "400", "401", "403", "404", "409", "413", "415", "422", "429", "503"}
    assert answers["200"]["content"].keys() == {"application/json", "text/event-stream"}


def _references(part: object) -> set[str]:
    match part:
        case dict():
            found = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return found.union(*map(_references, part.values()))
        case list():
            return set().union(*map(_references, part))
        case _:
            return set()
