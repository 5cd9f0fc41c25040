"""Answers as they stand on the wire of OpenAI's chat completions, byte for byte, and what each comes to."""

import json
from decimal import Decimal

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers.completions import FinishReason, ToolCall, Usage
from tests.providers.recorded import ASK, LOOK, Stream, fragments


def chunk(text: str, finish: str = "null") -> bytes:
    choice = f'{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{finish}}}'
    return f'data: {{"id":"c1","model":"m","choices":[{choice}]}}\n\n'.encode()


def tool_call(index: int, arguments: str, name: str = "") -> bytes:
    opening = f'"id":"call_{index}","type":"function",' if name else ""
    named = f'"name":"{name}",' if name else ""
    call = f'{{"index":{index},{opening}"function":{{{named}"arguments":{json.dumps(arguments)}}}}}'
    return f'data: {{"choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}},"finish_reason":null}}]}}\n\n'.encode()


ROLE = b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
HELLO = chunk("Hel") + chunk("lo, ") + chunk("Zo\u00eb \u4f60\u597d \U0001f44b")
TEXT = "Hello, Zo\u00eb \u4f60\u597d \U0001f44b"
STOP = b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}}\n\n'
DONE = b"data: [DONE]\n\n"
REPORTED = Usage(input_uncached=12, output_visible=5, source="reported")
BROKEN = b'data: {"choices": [{"delta": {"content": "\n\n'

OPENROUTER_ERROR = (
    b'data: {"id":"gen-1","object":"chat.completion.chunk","provider":"Fireworks","error":{"code":502,'
    b'"message":"Upstream idle timeout","metadata":{"error_type":"provider_unavailable"}},'
    b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n'
)
OPENROUTER_USAGE = (
    b'data: {"id":"gen-1","model":"acme/large","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,'
    b'"total_tokens":120,"cost":0.00000123456789,"is_byok":false,'
    b'"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30},'
    b'"completion_tokens_details":{"reasoning_tokens":8}}}\n\n'
)
GROQ_FINAL = (
    b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1",'
    b'"usage":{"queue_time":0.01,"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,"total_time":0.2}}}\n\n'
)
GROQ_ERROR = (
    b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"x_groq":{"id":"req_1","error":"over capacity"}}\n\n'
)
ERROR = b'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n'
GEMINI_ERROR = (
    b'[{\n  "error": {\n    "code": 503,\n    "message": "The model is {overloaded}.",\n'
    b'    "status": "UNAVAILABLE"\n  }\n}]\n'
)
WHOLE = (
    b'{"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"{\\"value\\": 5}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5}}'
)

ANSWERS = (
    Stream("plain", ROLE + HELLO + STOP + USAGE + DONE, TEXT, usage=REPORTED),
    Stream("crlf", (ROLE + HELLO + STOP + USAGE + DONE).replace(b"\n", b"\r\n"), TEXT, usage=REPORTED),
    Stream("cr", (ROLE + HELLO + STOP + USAGE + DONE).replace(b"\n", b"\r"), TEXT, usage=REPORTED),
    Stream("byte order mark", b"\xef\xbb\xbf" + HELLO + STOP + DONE, TEXT),
    Stream("comments first", b": OPENROUTER PROCESSING\n\n" * 20 + HELLO + STOP + DONE, TEXT),
    Stream("comments between", b"".join((chunk("a"), b": ping {\n", chunk("b"), b":\n\n", STOP, DONE)), "ab"),
    Stream("heartbeats without data", b"event: ping\ndata:\n\n" * 5 + HELLO + STOP + DONE, TEXT),
    Stream(
        "usage on the last content chunk",
        chunk("a") + STOP[:-3] + b',"usage":{"prompt_tokens":12,"completion_tokens":5}}\n\n' + DONE,
        "a",
        usage=REPORTED,
    ),
    Stream(
        "usage null on the others",
        chunk("a").replace(b'"choices"', b'"usage":null,"choices"') + STOP + USAGE + DONE,
        "a",
        usage=REPORTED,
    ),
    Stream("no sentinel", HELLO + STOP, TEXT),
    Stream("no finish but the sentinel", HELLO + DONE, TEXT),
    Stream("no blank line at the end", (HELLO + STOP + USAGE + DONE).rstrip(b"\n"), TEXT, usage=REPORTED),
    Stream("something after the sentinel", HELLO + STOP + DONE + chunk("more"), TEXT),
    Stream("finish on an early empty chunk", chunk("", '"stop"') + chunk("late", '"stop"') + DONE, "late"),
    Stream("finish with the last text", chunk("a") + chunk("b", '"length"') + DONE, "ab", finish=FinishReason.LENGTH),
    Stream(
        "filtered half way", chunk("a") + chunk("", '"content_filter"') + DONE, "a", finish=FinishReason.CONTENT_FILTER
    ),
    Stream("unknown finish", chunk("a") + chunk("", '"eos_token"') + DONE, "a"),
    Stream(
        "unknown fields and events",
        b"id: 7\nretry: 10\nevent: fancy\nnonsense\n" + HELLO + b"event: later\n\n" + STOP + DONE,
        TEXT,
    ),
    Stream("one malformed chunk", chunk("a") + BROKEN + chunk("b") + STOP + DONE, "ab"),
    Stream("three malformed chunks", chunk("a") + BROKEN * 3 + chunk("b") + STOP + DONE, "ab"),
    Stream(
        "data on two lines", b'data: {"choices":[{"delta":{"content":"a"},\ndata:"finish_reason":"stop"}]}\n\n', "a"
    ),
    Stream(
        "reasoning",
        b'data: {"choices":[{"delta":{"reasoning":"hmm"}}]}\n\n'
        b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n' + HELLO + STOP + DONE,
        TEXT,
    ),
    Stream("invalid utf-8", chunk("a") + chunk("?").replace(b"?", b"\xff\xfe") + STOP + DONE, "a\ufffd\ufffd"),
    Stream(
        "tool call in twenty fragments",
        b"".join(
            (
                chunk("Let me see."),
                tool_call(0, "", "look"),
                *(tool_call(0, piece) for piece in fragments(LOOK, 20)),
                chunk("", '"tool_calls"'),
                DONE,
            )
        ),
        "Let me see.",
        finish=FinishReason.TOOL_CALLS,
        calls=(ToolCall(id="call_0", name="look", arguments=LOOK),),
    ),
    Stream(
        "two tool calls interleaved",
        b"".join(
            (
                chunk("Both."),
                tool_call(0, "", "look"),
                tool_call(1, "", "ask"),
                *(
                    tool_call(index, piece)
                    for pieces in zip(fragments(LOOK, 6), fragments(ASK, 6), strict=True)
                    for index, piece in enumerate(pieces)
                ),
                chunk("", '"function_call"'),
                DONE,
            )
        ),
        "Both.",
        finish=FinishReason.TOOL_CALLS,
        calls=(
            ToolCall(id="call_0", name="look", arguments=LOOK),
            ToolCall(id="call_1", name="ask", arguments=ASK),
        ),
    ),
    Stream(
        "only a tool call",
        tool_call(0, "", "look") + chunk("", '"tool_calls"') + USAGE + DONE,
        "",
        finish=FinishReason.TOOL_CALLS,
        usage=REPORTED,
        calls=(ToolCall(id="call_0", name="look"),),
    ),
    Stream(
        "a tool call that was not streamed",
        WHOLE.replace(
            b'"content":"{\\"value\\": 5}"',
            b'"content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"look","arguments":"{}"}}]',
        ).replace(b'"stop"', b'"tool_calls"'),
        "",
        finish=FinishReason.TOOL_CALLS,
        usage=REPORTED,
        calls=(ToolCall(id="t1", name="look"),),
    ),
    Stream("not streamed", WHOLE, '{"value": 5}', usage=REPORTED),
    Stream("not streamed, on many lines", WHOLE.replace(b",", b",\n  "), '{"value": 5}', usage=REPORTED),
    Stream("groq", HELLO + GROQ_FINAL + DONE, TEXT, usage=REPORTED),
    Stream(
        "openrouter",
        b": OPENROUTER PROCESSING\n\n" + HELLO + STOP + OPENROUTER_USAGE + DONE,
        TEXT,
        usage=Usage(
            input_uncached=10,
            input_cached=60,
            input_cache_write=30,
            output_visible=12,
            output_reasoning=8,
            source="reported",
        ),
        charged_usd=Decimal("0.00000123456789"),
        charges=True,
    ),
    Stream(
        "a cost that is nobody's charge",
        HELLO + STOP + USAGE.replace(b'"prompt', b'"cost":9.9,"prompt') + DONE,
        TEXT,
        usage=REPORTED,
    ),
    Stream(
        "gemini counts its thoughts in the total only",
        HELLO + STOP + USAGE.replace(b"17", b"30") + DONE,
        TEXT,
        usage=Usage(input_uncached=12, output_visible=5, output_reasoning=13, source="reported"),
    ),
    Stream(
        "nonsense for usage",
        HELLO
        + STOP
        + b'data: {"usage":{"prompt_tokens":"x","completion_tokens":-4,"total_tokens":1e999999}}\n\n'
        + DONE,
        TEXT,
        usage=Usage(source="reported"),
    ),
    Stream(
        "nonsense for choices",
        b'data: {"choices":7}\n\ndata: {"choices":[null]}\n\ndata: {"choices":[{"delta":[]}]}\n\n'
        + HELLO
        + STOP
        + DONE,
        TEXT,
    ),
)

FAILURES = (
    Stream("end without finish", ROLE + HELLO, TEXT, FailureClass.TRUNCATED),
    Stream("end inside a chunk", HELLO + STOP[:40], TEXT, FailureClass.TRUNCATED),
    Stream("nothing at all", b"", "", FailureClass.TRUNCATED),
    Stream("only comments", b": hello\n\n" * 9, "", FailureClass.TRUNCATED),
    Stream("prose", b"Welcome to the captive portal.\n" * 9, "", FailureClass.TRUNCATED),
    Stream("error first", ERROR, "", FailureClass.SERVER),
    Stream("error in the middle", HELLO + ERROR, TEXT, FailureClass.SERVER),
    Stream("error after the finish", HELLO + STOP + ERROR, TEXT, FailureClass.SERVER),
    Stream("error without a data field", HELLO + GEMINI_ERROR, TEXT, FailureClass.OVERLOADED, 503),
    Stream(
        "error in a body with status 200",
        b'{"error":{"message":"slow down","code":429}}',
        "",
        FailureClass.RATE_LIMIT,
        429,
    ),
    Stream(
        "error of vllm", b'{"object":"error","message":"boom","type":"x","code":400}', "", FailureClass.BAD_REQUEST, 400
    ),
    Stream("error as a text", HELLO + b'data: {"error":"model unloaded"}\n\n', TEXT, FailureClass.SERVER),
    Stream("error of openrouter", HELLO + OPENROUTER_ERROR, TEXT, FailureClass.SERVER, 502),
    Stream(
        "error in a choice",
        HELLO + b'data: {"choices":[{"error":{"code":429,"message":"x"},"finish_reason":"error"}]}\n\n',
        TEXT,
        FailureClass.RATE_LIMIT,
        429,
    ),
    Stream("finish by error", HELLO + chunk("", '"error"'), TEXT, FailureClass.SERVER),
    Stream("error of groq", HELLO + GROQ_ERROR + DONE, TEXT, FailureClass.SERVER),
    Stream("four malformed chunks", chunk("a") + BROKEN * 4 + STOP + DONE, "a", FailureClass.MALFORMED),
    Stream(
        "nesting without end",
        b"data: " + b"[" * 3000 + b"\n\n" + b"data: 1\n\n" * 3 + HELLO + STOP,
        "",
        FailureClass.MALFORMED,
    ),
    Stream("an empty answer", ROLE + STOP + USAGE + DONE, "", FailureClass.MALFORMED),
    Stream(
        "all of it thought",
        b'data: {"choices":[{"delta":{"reasoning":"hmm"},"finish_reason":"length"}]}\n\n' + DONE,
        "",
        FailureClass.MALFORMED,
    ),
    Stream("filtered away", chunk("", '"content_filter"') + DONE, "", FailureClass.CONTENT_POLICY),
    Stream(
        "refused",
        b'data: {"choices":[{"delta":{"refusal":"I cannot help."}}]}\n\n' + STOP + DONE,
        "",
        FailureClass.CONTENT_POLICY,
    ),
)
