"""Answers on the wire of Gemini's generateContent."""

import json
from typing import Any

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.completions import FinishReason, ToolCall, Usage
from tests.providers.recorded import Stream


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\r\n\r\n"


def response(*parts: dict[str, Any], finish: str = "", **extra: Any) -> bytes:
    content = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    finished = {"finishReason": finish} if finish else {}
    return event({"candidates": [{**content, **finished, "index": 0}], **extra})


def say(text: str, finish: str = "", **extra: Any) -> bytes:
    return response({"text": text}, finish=finish, **extra)


def call(name: str, **args: object) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args}}


TEXT = "Hello, Zo\u00eb \u4f60\u597d \U0001f44b"
HELLO = say("Hel", modelVersion="m-001", responseId="r1") + say("lo, ") + say("Zo\u00eb \u4f60\u597d \U0001f44b")
COUNTS = {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17}
STOP = response(finish="STOP", usageMetadata=COUNTS)
REPORTED = Usage(input_uncached=12, output_visible=5, source="reported")
BROKEN = b'data: {"candidates":[{"content":\r\n\r\n'
ERROR = {"error": {"code": 503, "message": "The model is {overloaded}.", "status": "UNAVAILABLE"}}
PLAIN = HELLO + STOP

ANSWERS = (
    Stream("plain", PLAIN, TEXT, usage=REPORTED),
    Stream("line feeds only", PLAIN.replace(b"\r", b""), TEXT, usage=REPORTED),
    Stream("comments first", b": alive\r\n\r\n" * 20 + PLAIN, TEXT, usage=REPORTED),
    Stream("no blank line at the end", PLAIN.rstrip(), TEXT, usage=REPORTED),
    Stream("finish with the last text", say("a") + say("b", "STOP", usageMetadata=COUNTS), "ab", usage=REPORTED),
    Stream("finish on an early empty event", response(finish="STOP") + say("late") + STOP, "late", usage=REPORTED),
    Stream("finish on every event", say("a", "STOP") + say("b", "STOP"), "ab"),
    Stream("cut short", say("a") + response(finish="MAX_TOKENS"), "a", finish=FinishReason.LENGTH),
    Stream("filtered half way", say("a") + response(finish="SAFETY"), "a", finish=FinishReason.CONTENT_FILTER),
    Stream("recited", say("a", "RECITATION"), "a", finish=FinishReason.CONTENT_FILTER),
    Stream("another language", say("a", "LANGUAGE"), "a", finish=FinishReason.CONTENT_FILTER),
    Stream("unknown finish", say("a", "WANDERED_OFF"), "a"),
    Stream(
        "unknown fields and events",
        b"id: 7\r\nevent: fancy\r\nnonsense\r\n" + say("a", mood="good") + event({"new": 1}) + STOP,
        "a",
        usage=REPORTED,
    ),
    Stream("one malformed event", say("a") + BROKEN + say("b", "STOP"), "ab"),
    Stream("three malformed events", say("a") + BROKEN * 3 + say("b", "STOP"), "ab"),
    Stream("invalid utf-8", say("?", "STOP").replace(b"?", b"\xff\xfe"), "\ufffd\ufffd"),
    Stream("the sentinel of a relay", say("a", "STOP") + b"data: [DONE]\r\n\r\n", "a"),
    Stream(
        "a running total of tokens",
        say("a", usageMetadata={"promptTokenCount": 12}) + say("b", usageMetadata={"promptTokenCount": 12}) + STOP,
        "ab",
        usage=REPORTED,
    ),
    Stream(
        "thoughts",
        response({"text": "Hmm.", "thought": True})
        + response({"text": "a", "thoughtSignature": "b3BhcXVl"})
        + response(
            {"text": ""},
            finish="STOP",
            usageMetadata={
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 9,
                "toolUsePromptTokenCount": 7,
                "totalTokenCount": 121,
            },
        ),
        "a",
        usage=Usage(input_uncached=47, input_cached=60, output_visible=5, output_reasoning=9, source="reported"),
    ),
    Stream(
        "a tool call, finished by STOP",
        say("Let me see.") + response(call("look", at="it"), finish="STOP"),
        "Let me see.",
        finish=FinishReason.TOOL_CALLS,
        calls=(ToolCall(id="call_0", name="look", arguments='{"at":"it"}'),),
    ),
    Stream(
        "two tool calls among the text",
        response(call("look"), {"text": "Both."}, call("ask")) + response(finish="STOP"),
        "Both.",
        finish=FinishReason.TOOL_CALLS,
        calls=(ToolCall(id="call_0", name="look"), ToolCall(id="call_1", name="ask")),
    ),
    Stream(
        "only a tool call, which is to come back signed",
        response({**call("look", deep={"n": 0.5}), "thoughtSignature": "c2ln"}, finish="STOP"),
        "",
        finish=FinishReason.TOOL_CALLS,
        calls=(ToolCall(id="call_0", name="look", arguments='{"deep":{"n":0.5}}', signature="c2ln"),),
    ),
    Stream(
        "not streamed",
        json.dumps(
            {"candidates": [{"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "finishReason": "STOP"}]}, indent=1
        ).encode(),
        "ab",
    ),
    Stream(
        "nonsense for usage",
        say("a", "STOP", usageMetadata={"promptTokenCount": -4, "candidatesTokenCount": "x", "thoughtsTokenCount": []}),
        "a",
        usage=Usage(source="reported"),
    ),
    Stream(
        "nonsense for candidates",
        event({"candidates": 7})
        + event({"candidates": [None]})
        + event({"candidates": [{"content": [], "finishReason": 3}]})
        + event({"candidates": [{"content": {"parts": [None, 5, {"text": 5}]}}]})
        + say("a", "STOP"),
        "a",
    ),
)

FAILURES = (
    Stream("end without finish", HELLO, TEXT, FailureClass.TRUNCATED),
    Stream("end inside an event", say("a") + STOP[:40], "a", FailureClass.TRUNCATED),
    Stream("nothing at all", b"", "", FailureClass.TRUNCATED),
    Stream("only comments", b": alive\r\n\r\n" * 9, "", FailureClass.TRUNCATED),
    Stream("error first", event(ERROR), "", FailureClass.OVERLOADED, 503),
    Stream("error in the middle", HELLO + event(ERROR), TEXT, FailureClass.OVERLOADED, 503),
    Stream("error after the finish", say("a", "STOP") + event(ERROR), "a", FailureClass.OVERLOADED, 503),
    Stream("error on bare lines", say("a") + json.dumps(ERROR, indent=2).encode(), "a", FailureClass.OVERLOADED, 503),
    Stream("error in an array", say("a") + json.dumps([ERROR]).encode(), "a", FailureClass.OVERLOADED, 503),
    Stream("error in a body with status 200", json.dumps(ERROR).encode(), "", FailureClass.OVERLOADED, 503),
    Stream("four malformed events", say("a") + BROKEN * 4 + STOP, "a", FailureClass.MALFORMED),
    Stream(
        "the prompt is blocked",
        event({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": COUNTS}),
        "",
        FailureClass.CONTENT_POLICY,
    ),
    Stream("filtered away", response(finish="SAFETY"), "", FailureClass.CONTENT_POLICY),
    Stream("an empty answer", STOP, "", FailureClass.MALFORMED),
    Stream(
        "all of it thought",
        response({"text": "Hmm.", "thought": True}) + response(finish="MAX_TOKENS"),
        "",
        FailureClass.MALFORMED,
    ),
    Stream("a broken tool call", say("a", "MALFORMED_FUNCTION_CALL"), "a", FailureClass.MALFORMED),
    Stream("a tool that does not exist", response(finish="UNEXPECTED_TOOL_CALL"), "", FailureClass.MALFORMED),
    Stream("too many tool calls", response(finish="TOO_MANY_TOOL_CALLS"), "", FailureClass.MALFORMED),
    Stream("ended for no reason", say("a", "OTHER"), "a", FailureClass.SERVER),
)
