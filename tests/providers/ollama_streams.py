"""Answers on the wire of Ollama's /api/chat."""

import json
from typing import Any

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.completions import FinishReason, ToolCall, Usage
from tests.providers.recorded import Stream


def line(**value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def say(text: str, **message: Any) -> bytes:
    said = {"role": "assistant", "content": text, **message}
    return line(model="m", created_at="2026-03-14T12:00:00Z", message=said, done=False)


def end(reason: str | None = "stop", text: str = "", **counts: Any) -> bytes:
    named = {"done_reason": reason} if reason else {}
    return line(model="m", message={"role": "assistant", "content": text}, done=True, **named, **counts)


TEXT = "Hello, Zo\u00eb \u4f60\u597d \U0001f44b"
HELLO = say("Hel") + say("lo, ") + say("Zo\u00eb \u4f60\u597d \U0001f44b")
STOP = end(total_duration=5_000_000, load_duration=9, prompt_eval_count=12, eval_count=5, eval_duration=7)
REPORTED = Usage(input_uncached=12, output_visible=5, source="reported")
ERROR = line(error="an error was encountered while running the model")
BROKEN = b'{"model":"m","message":{"content":"\n'
CALL = {"function": {"name": "look", "arguments": {"at": "it"}}}

ANSWERS = (
    Stream("plain", HELLO + STOP, TEXT, usage=REPORTED),
    Stream("crlf", (HELLO + STOP).replace(b"\n", b"\r\n"), TEXT, usage=REPORTED),
    Stream("no line break at the end", (HELLO + STOP).rstrip(), TEXT, usage=REPORTED),
    Stream("blank lines between", b"\n\n" + say("a") + b"\n" + STOP, "a", usage=REPORTED),
    Stream("empty pieces first", say("") * 9 + say("a") + STOP, "a", usage=REPORTED),
    Stream("text on the last line", say("a") + end(text="b"), "ab"),
    Stream(
        "not streamed", end(text='{"value": 5}', prompt_eval_count=12, eval_count=5), '{"value": 5}', usage=REPORTED
    ),
    Stream("cut short", say("a") + end("length"), "a", finish=FinishReason.LENGTH),
    Stream("no reason", say("a") + end(None), "a"),
    Stream("unknown reason", say("a") + end("wandered_off"), "a"),
    Stream("unknown fields and lines", line(mood="good") + say("a", mood="good") + STOP, "a", usage=REPORTED),
    Stream("one malformed line", say("a") + BROKEN + say("b") + end(), "ab"),
    Stream("three malformed lines", say("a") + BROKEN * 3 + say("b") + end(), "ab"),
    Stream("invalid utf-8", say("?").replace(b"?", b"\xff\xfe") + end(), "\ufffd\ufffd"),
    Stream("thoughts", say("", thinking="Hmm.") + say("a") + STOP, "a", usage=REPORTED),
    Stream(
        "a prompt that was cached",
        say("a") + end(eval_count=5),
        "a",
        usage=Usage(output_visible=5, source="reported"),
    ),
    Stream("something after the end", say("a") + end() + say("more"), "a"),
    Stream(
        "two tool calls",
        say("Let me see.") + say("", tool_calls=[CALL, CALL]) + end(),
        "Let me see.",
        finish=FinishReason.TOOL_CALLS,
        calls=tuple(ToolCall(id=f"call_{n}", name="look", arguments='{"at":"it"}') for n in range(2)),
    ),
    Stream(
        "only a tool call",
        say("", tool_calls=[CALL]) + end(),
        "",
        finish=FinishReason.TOOL_CALLS,
        calls=(ToolCall(id="call_0", name="look", arguments='{"at":"it"}'),),
    ),
    Stream(
        "nonsense",
        line(message=7) + line(message={"content": []}) + b"[1]\n" + say("a") + end(eval_count=-4),
        "a",
        usage=Usage(source="reported"),
    ),
)

FAILURES = (
    Stream("end without the last line", HELLO, TEXT, FailureClass.TRUNCATED),
    Stream("end inside the last line", HELLO + STOP[:40], TEXT, FailureClass.TRUNCATED),
    Stream("nothing at all", b"", "", FailureClass.TRUNCATED),
    Stream("error first", ERROR, "", FailureClass.SERVER),
    Stream("error in the middle", HELLO + ERROR, TEXT, FailureClass.SERVER),
    Stream("error after the end", say("a") + end() + ERROR, "a", FailureClass.SERVER),
    Stream(
        "the prompt is too long",
        line(error="the input length exceeds the context length"),
        "",
        FailureClass.CONTEXT_LENGTH,
    ),
    Stream("four malformed lines", say("a") + BROKEN * 4 + end(), "a", FailureClass.MALFORMED),
    Stream("an empty answer", STOP, "", FailureClass.MALFORMED),
    Stream("only loaded", end("load"), "", FailureClass.MALFORMED),
    Stream("all of it thought", say("", thinking="Hmm.") + end("length"), "", FailureClass.MALFORMED),
)
