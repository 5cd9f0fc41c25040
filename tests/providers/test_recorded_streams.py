"""Every wire, read off recorded bytes that are split in every way."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.errors import ProviderFailure
from tertulia.domain.providers.completions import Completion
from tertulia.providers.anthropic import MessageAnswer
from tertulia.providers.attempt import Answer, Stage
from tertulia.providers.gemini import ContentAnswer
from tertulia.providers.ollama import ChatLines
from tertulia.providers.openai import ChatAnswer
from tests.providers import anthropic_streams, gemini_streams, ollama_streams, openai_streams
from tests.providers.recorded import Stream, heard, split, wrong_splits

Wire = Callable[[Stream], Answer]


def openai(stream: Stream) -> Answer:
    return ChatAnswer(charges=stream.charges)


def gemini(_stream: Stream) -> Answer:
    return ContentAnswer()


def anthropic(_stream: Stream) -> Answer:
    return MessageAnswer()


def ollama(_stream: Stream) -> Answer:
    return ChatLines()


RECORDED: dict[Wire, tuple[Stream, ...]] = {
    openai: openai_streams.ANSWERS + openai_streams.FAILURES,
    gemini: gemini_streams.ANSWERS + gemini_streams.FAILURES,
    anthropic: anthropic_streams.ANSWERS + anthropic_streams.FAILURES,
    ollama: ollama_streams.ANSWERS + ollama_streams.FAILURES,
}
CASES = [(wire, stream) for wire, streams in RECORDED.items() for stream in streams]


@pytest.mark.parametrize(("wire", "stream"), CASES, ids=[f"{wire.__name__}: {stream}" for wire, stream in CASES])
def test_a_stream_comes_to_the_same_wherever_it_is_split(wire: Wire, stream: Stream) -> None:
    shown, outcome = heard(wire(stream), [stream.body])
    assert stream.comes_to(shown, outcome), (shown, outcome)
    assert wrong_splits(stream, lambda: wire(stream)) == []


@given(st.sampled_from(CASES), st.lists(st.integers(0, 2000), max_size=8))
@settings(max_examples=500)
def test_a_stream_comes_to_the_same_in_any_pieces(case: tuple[Wire, Stream], cuts: list[int]) -> None:
    wire, stream = case
    assert stream.comes_to(*heard(wire(stream), split(stream.body, cuts)))


@given(st.binary(max_size=300), st.sampled_from(CASES), st.integers(0, 2000))
@settings(max_examples=500)
def test_whatever_is_thrown_in_it_comes_to_an_answer_or_a_failure(
    noise: bytes, case: tuple[Wire, Stream], at: int
) -> None:
    wire, stream = case
    shown, outcome = heard(wire(stream), [stream.body[:at], noise, stream.body[at:]])
    assert isinstance(outcome, ProviderFailure) or outcome.text == shown


LONG = "word " * (2**20)


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (openai, openai_streams.chunk(LONG) + openai_streams.STOP),
        (gemini, gemini_streams.say(LONG, "STOP")),
        (anthropic, anthropic_streams.BEGIN + anthropic_streams.say(LONG) + anthropic_streams.STOP),
        (ollama, ollama_streams.say(LONG) + ollama_streams.STOP),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_one_line_of_five_megabytes_is_read(wire: Wire, body: bytes) -> None:
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    assert heard(wire(Stream("", body)), pieces)[0] == LONG


@pytest.mark.parametrize(("wire", "beginning"), [(gemini, b"data: "), (anthropic, b"data: "), (ollama, b"")])
def test_a_line_without_end_is_not_kept_for_ever(wire: Wire, beginning: bytes) -> None:
    _, outcome = heard(wire(Stream("", b"")), [beginning, *([b"x" * 2**20] * 9)])
    assert isinstance(outcome, ProviderFailure)
    assert outcome.detail.endswith("is larger than 8 MiB")


@pytest.mark.parametrize(
    ("wire", "pieces", "stages"),
    [
        (
            gemini,
            (gemini_streams.response(finish="STOP"), gemini_streams.say("a"), gemini_streams.STOP),
            (Stage.SILENT, Stage.SPEAKING, Stage.SPEAKING),
        ),
        (
            anthropic,
            (
                anthropic_streams.BEGIN,
                anthropic_streams.PING,
                anthropic_streams.say("a"),
                anthropic_streams.STOP.removesuffix(anthropic_streams.MESSAGE_STOP),
                anthropic_streams.MESSAGE_STOP,
            ),
            (Stage.SILENT, Stage.SILENT, Stage.SPEAKING, Stage.SPEAKING, Stage.SETTLED),
        ),
        (
            ollama,
            (ollama_streams.say(""), ollama_streams.say("a"), ollama_streams.STOP),
            (Stage.SILENT, Stage.SPEAKING, Stage.SETTLED),
        ),
    ],
)
def test_only_the_terminal_marker_makes_an_answer_complete(
    wire: Wire, pieces: tuple[bytes, ...], stages: tuple[Stage, ...]
) -> None:
    answer = wire(Stream("", b""))
    seen = []
    for piece in pieces:
        list(answer.feed(piece))
        seen.append(answer.stage)
    assert tuple(seen) == stages


@pytest.mark.parametrize(
    ("wire", "thought"),
    [
        (gemini, gemini_streams.response({"text": "Hmm.", "thought": True})),
        (anthropic, anthropic_streams.delta("thinking", thinking="Hmm.")),
        (ollama, ollama_streams.say("", thinking="Hmm.")),
    ],
)
def test_a_thought_is_progress_that_nobody_is_shown(wire: Wire, thought: bytes) -> None:
    answer = wire(Stream("", b""))
    assert list(answer.feed(thought)) == [""]
    assert answer.stage is Stage.SPEAKING


@pytest.mark.parametrize(
    ("wire", "model", "request_id"),
    [(openai, "m", "c1"), (gemini, "m-001", "r1"), (anthropic, "m-001", "msg_1"), (ollama, "m", None)],
)
def test_an_answer_names_its_model_and_its_id(wire: Wire, model: str, request_id: str | None) -> None:
    plain = RECORDED[wire][0]
    _, outcome = heard(wire(plain), [plain.body])
    assert isinstance(outcome, Completion)
    assert (outcome.model, outcome.request_id) == (model, request_id)
