"""What is peculiar to the wire of chat completions."""

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.providers.attempt import Stage
from tertulia.providers.openai import ChatAnswer
from tests.providers import openai_streams
from tests.providers.recorded import heard


def test_the_answer_is_settled_when_nothing_more_is_expected() -> None:
    answer = ChatAnswer()
    stages = [answer.stage]
    for piece in (openai_streams.ROLE, openai_streams.chunk("a"), openai_streams.STOP, openai_streams.USAGE):
        list(answer.feed(piece))
        stages.append(answer.stage)
    assert stages == [Stage.SILENT, Stage.SILENT, Stage.SPEAKING, Stage.COMPLETE, Stage.SETTLED]


def test_reasoning_is_progress_that_nobody_is_shown() -> None:
    answer = ChatAnswer()
    assert list(answer.feed(b'data: {"choices":[{"delta":{"reasoning":"hmm"}}]}\n\n')) == [""]
    assert answer.stage is Stage.SPEAKING


def test_an_error_tells_the_upstream_that_failed() -> None:
    body = b'data: {"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"Acme"}}}\n\n'
    _, outcome = heard(ChatAnswer(), [body])
    assert isinstance(outcome, ProviderFailure)
    assert (outcome.failure, outcome.detail) == (FailureClass.SERVER, "Provider returned error (Acme)")
