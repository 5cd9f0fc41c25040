"""Answers on the wire of Anthropic's Messages."""

import json
from typing import Any

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.completions import FinishReason, ToolCall, Usage
from tests.providers.recorded import ASK, LOOK, Stream, fragments


def event(name: str, **data: Any) -> bytes:
    written = json.dumps({"type": name, **data}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\ndata: {written}\n\n".encode()


def delta(kind: str, index: int = 0, **content: str) -> bytes:
    return event("content_block_delta", index=index, delta={"type": f"{kind}_delta", **content})


def say(text: str) -> bytes:
    return delta("text", text=text)


def block(kind: str, index: int = 0, **content: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **content})


def end(reason: str, **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage) + MESSAGE_STOP


def begin(**usage: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-001", "content": [], "usage": usage}
    return event("message_start", message=message)


TEXT = "Hello, Zo\u00eb \u4f60\u597d \U0001f44b"
MESSAGE_STOP = event("message_stop")
BEGIN = begin(input_tokens=12, output_tokens=1)
HELLO = BEGIN + block("text", text="") + say("Hel") + say("lo, ") + say("Zo\u00eb \u4f60\u597d \U0001f44b")
STOP = event("content_block_stop", index=0) + end("end_turn", output_tokens=5)
PING = event("ping")
REPORTED = Usage(input_uncached=12, output_visible=5, source="reported")
BEGUN = Usage(input_uncached=12, output_visible=1, source="reported")
BROKEN = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":\n\n'
OVERLOADED: dict[str, Any] = {"error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
ERROR = event("error", **OVERLOADED)
PLAIN = HELLO + STOP


def ended(reason: str) -> bytes:
    return BEGIN + say("a") + end(reason)


ANSWERS = (
    Stream("plain", PLAIN, TEXT, usage=REPORTED),
    Stream("crlf", PLAIN.replace(b"\n", b"\r\n"), TEXT, usage=REPORTED),
    Stream("pings first", BEGIN + PING * 12 + say("a") + STOP, "a", usage=REPORTED),
    Stream("pings and comments between", BEGIN + say("a") + PING + b": {\n\n" + say("b") + STOP, "ab", usage=REPORTED),
    Stream("no blank line at the end", (BEGIN + say("a") + STOP).rstrip(), "a", usage=REPORTED),
    Stream("without names of events", b"data: " + PLAIN.partition(b"data: ")[2], TEXT, usage=REPORTED),
    Stream("text in the beginning of a block", BEGIN + block("text", text="a") + say("b") + STOP, "ab", usage=REPORTED),
    Stream("cut short", ended("max_tokens"), "a", finish=FinishReason.LENGTH, usage=BEGUN),
    Stream("the window is full", ended("model_context_window_exceeded"), "a", finish=FinishReason.LENGTH, usage=BEGUN),
    Stream("paused", ended("pause_turn"), "a", finish=FinishReason.LENGTH, usage=BEGUN),
    Stream("a stop sequence", ended("stop_sequence"), "a", usage=BEGUN),
    Stream("refused half way", ended("refusal"), "a", finish=FinishReason.CONTENT_FILTER, usage=BEGUN),
    Stream("unknown reason", ended("wandered_off"), "a", usage=BEGUN),
    Stream("no usage", event("message_start", message={}) + say("a") + MESSAGE_STOP, "a"),
    Stream("something after the end", BEGIN + say("a") + STOP + say("more"), "a", usage=REPORTED),
    Stream(
        "unknown fields and events",
        BEGIN + b"id: 7\nnonsense\n" + event("mood", good=True) + say("a") + STOP,
        "a",
        usage=REPORTED,
    ),
    Stream("one malformed event", BEGIN + say("a") + BROKEN + say("b") + STOP, "ab", usage=REPORTED),
    Stream("three malformed events", BEGIN + BROKEN * 3 + say("b") + STOP, "b", usage=REPORTED),
    Stream("invalid utf-8", BEGIN + say("?").replace(b"?", b"\xff\xfe") + STOP, "\ufffd\ufffd", usage=REPORTED),
    Stream(
        "caches and thoughts",
        begin(input_tokens=9, cache_creation_input_tokens=30, cache_read_input_tokens=60, output_tokens=1)
        + block("thinking", thinking="", signature="")
        + delta("thinking", thinking="Hmm.")
        + delta("signature", signature="b3BhcXVl")
        + delta("text", index=1, text="a")
        + end("end_turn", output_tokens=20, output_tokens_details={"thinking_tokens": 8}, input_tokens=None),
        "a",
        usage=Usage(
            input_uncached=9,
            input_cached=60,
            input_cache_write=30,
            output_visible=12,
            output_reasoning=8,
            source="reported",
        ),
    ),
    Stream(
        "a tool call in twenty fragments",
        BEGIN
        + say("Let me see.")
        + block("tool_use", index=1, id="t1", name="look", input={})
        + b"".join(delta("input_json", index=1, partial_json=piece) for piece in fragments(LOOK, 20))
        + end("tool_use"),
        "Let me see.",
        finish=FinishReason.TOOL_CALLS,
        usage=BEGUN,
        calls=(ToolCall(id="t1", name="look", arguments=LOOK),),
    ),
    Stream(
        "only a tool call",
        BEGIN + block("tool_use", id="t1", name="look", input={}) + end("tool_use"),
        "",
        finish=FinishReason.TOOL_CALLS,
        usage=BEGUN,
        calls=(ToolCall(id="t1", name="look"),),
    ),
    Stream(
        "two tool calls interleaved",
        BEGIN
        + say("Both.")
        + block("tool_use", index=1, id="t1", name="look", input={})
        + block("tool_use", index=2, id="t2", name="ask", input={})
        + b"".join(
            delta("input_json", index=index, partial_json=piece)
            for pieces in zip(fragments(LOOK, 6), fragments(ASK, 6), strict=True)
            for index, piece in enumerate(pieces, start=1)
        )
        + end("tool_use"),
        "Both.",
        finish=FinishReason.TOOL_CALLS,
        calls=(ToolCall(id="t1", name="look", arguments=LOOK), ToolCall(id="t2", name="ask", arguments=ASK)),
        usage=BEGUN,
    ),
    Stream(
        "not streamed",
        json.dumps(
            {
                "id": "msg_1",
                "type": "message",
                "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": '{"value": 5}'}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 12, "output_tokens": 5},
            },
            indent=1,
        ).encode(),
        '{"value": 5}',
        usage=REPORTED,
    ),
    Stream(
        "nonsense",
        event("message_start", message=7)
        + event("content_block_delta", delta=[])
        + event("content_block_start", content_block=None)
        + event("message_delta", delta={"stop_reason": 3}, usage={"input_tokens": -4, "output_tokens": "x"})
        + say("a")
        + MESSAGE_STOP,
        "a",
        usage=Usage(source="reported"),
    ),
)

FAILURES = (
    Stream("end without any end", HELLO, TEXT, FailureClass.TRUNCATED),
    Stream("end before the last event", (HELLO + STOP).removesuffix(MESSAGE_STOP), TEXT, FailureClass.TRUNCATED),
    Stream("end inside an event", BEGIN + say("a") + STOP[:-9], "a", FailureClass.TRUNCATED),
    Stream("nothing at all", b"", "", FailureClass.TRUNCATED),
    Stream("only pings", PING * 9, "", FailureClass.TRUNCATED),
    Stream("error first", ERROR, "", FailureClass.OVERLOADED),
    Stream("error in the middle", HELLO + ERROR, TEXT, FailureClass.OVERLOADED),
    Stream("error after the end", BEGIN + say("a") + STOP + ERROR, "a", FailureClass.OVERLOADED),
    Stream(
        "error in a body with status 200",
        json.dumps({"type": "error", **OVERLOADED}).encode(),
        "",
        FailureClass.OVERLOADED,
    ),
    Stream(
        "error without a data field",
        HELLO + b'{"type":"error","error":{"type":"api_error"}}\n',
        TEXT,
        FailureClass.SERVER,
    ),
    Stream("four malformed events", BEGIN + say("a") + BROKEN * 4 + STOP, "a", FailureClass.MALFORMED),
    Stream("an empty answer", BEGIN + STOP, "", FailureClass.MALFORMED),
    Stream(
        "all of it thought",
        BEGIN + delta("thinking", thinking="Hmm.") + end("max_tokens"),
        "",
        FailureClass.MALFORMED,
    ),
    Stream(
        "arguments of no call",
        BEGIN + delta("input_json", partial_json="{}") + end("tool_use"),
        "",
        FailureClass.MALFORMED,
    ),
    Stream("refused", BEGIN + end("refusal"), "", FailureClass.CONTENT_POLICY),
)
