"""The wire of chat completions, read off recorded bytes that are split in every way."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.completions import Completion
from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.providers.attempt import Stage
from tertulia.providers.openai import ChatAnswer
from tests.providers import streams
from tests.providers.streams import ANSWERS, FAILURES, Stream


def heard(stream: Stream, pieces: Iterable[bytes]) -> tuple[str, Completion | ProviderFailure]:
    """What was shown, and what the stream came to."""
    answer = ChatAnswer(charges=stream.charges)
    shown: list[str] = []
    try:
        for piece in pieces:
            shown.extend(answer.feed(piece))
        shown.extend(answer.end())
        return "".join(shown), answer.completion()
    except ProviderFailure as failure:
        return "".join(shown), failure


def is_as_expected(stream: Stream, pieces: Sequence[bytes]) -> bool:
    shown, outcome = heard(stream, pieces)
    if isinstance(outcome, ProviderFailure):
        return (shown, outcome.failure, outcome.status) == (stream.text, stream.failure, stream.status)
    expected = (stream.text, None, stream.finish, stream.usage, stream.charged_usd)
    return (
        shown == outcome.text
        and (
            outcome.text,
            stream.failure,
            outcome.finish,
            outcome.usage,
            outcome.charged_usd,
        )
        == expected
    )


@pytest.mark.parametrize("stream", ANSWERS + FAILURES, ids=str)
def test_a_stream_comes_to_the_same_wherever_it_is_split(stream: Stream) -> None:
    body = stream.body
    assert is_as_expected(stream, [body]), heard(stream, [body])
    assert is_as_expected(stream, [body[at : at + 1] for at in range(len(body))])
    wrong = [at for at in range(1, len(body)) if not is_as_expected(stream, [body[:at], body[at:]])]
    assert wrong == []


@given(st.sampled_from(ANSWERS + FAILURES), st.lists(st.integers(0, 3000), max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_stream_comes_to_the_same_in_any_pieces(stream: Stream, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(stream.body)) for cut in cuts), len(stream.body)]
    pieces = [stream.body[start:end] for start, end in pairwise(bounds)]
    assert is_as_expected(stream, pieces)


@given(st.binary(max_size=300), st.sampled_from(ANSWERS), st.integers(0, 3000))
@settings(max_examples=300, deadline=None)
def test_whatever_is_thrown_in_it_comes_to_an_answer_or_a_failure(noise: bytes, stream: Stream, at: int) -> None:
    shown, outcome = heard(stream, [stream.body[:at], noise, stream.body[at:]])
    assert isinstance(outcome, ProviderFailure) or outcome.text == shown


def test_one_line_of_five_megabytes_is_read() -> None:
    text = "word " * (2**20)
    body = streams.chunk(text) + streams.STOP + streams.DONE
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    assert heard(Stream("huge", body), pieces)[0] == text


def test_the_answer_is_settled_when_nothing_more_is_expected() -> None:
    answer = ChatAnswer()
    stages = [answer.stage]
    for piece in (streams.ROLE, streams.chunk("a"), streams.STOP, streams.USAGE):
        list(answer.feed(piece))
        stages.append(answer.stage)
    assert stages == [Stage.SILENT, Stage.SILENT, Stage.SPEAKING, Stage.COMPLETE, Stage.SETTLED]


def test_reasoning_is_progress_that_nobody_is_shown() -> None:
    answer = ChatAnswer()
    assert list(answer.feed(b'data: {"choices":[{"delta":{"reasoning":"hmm"}}]}\n\n')) == [""]
    assert answer.stage is Stage.SPEAKING


def test_an_answer_names_its_model_and_its_id() -> None:
    _, outcome = heard(ANSWERS[0], [ANSWERS[0].body])
    assert isinstance(outcome, Completion)
    assert (outcome.model, outcome.request_id) == ("m", "c1")


def test_an_error_tells_the_upstream_that_failed() -> None:
    body = b'data: {"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"Acme"}}}\n\n'
    _, outcome = heard(Stream("", body), [body])
    assert isinstance(outcome, ProviderFailure)
    assert (outcome.failure, outcome.detail) == (FailureClass.SERVER, "Provider returned error (Acme)")
