"""One question to several providers, one after the other."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

from tertulia.domain.errors import FailureClass, NotAdmitted, ProviderFailure, Unavailable
from tertulia.domain.providers import snapshots
from tertulia.domain.providers.completions import Completion
from tests.provider_service.fleet import Fault, Spell
from tests.provider_service.virtual_time import told
from tests.provider_service.world import clock, provider, question, world

ALWAYS = 1e9


def answered_by(answer: object) -> str:
    assert isinstance(answer, Completion)
    return answer.model


@told
async def test_the_next_provider_answers_where_the_first_one_fails() -> None:
    async with world(provider("one", Spell(Fault.CUTS, 0, ALWAYS)), provider("two", priority=2)) as played:
        assert answered_by(await played.workers[0].ask(question())) == "two"

        assert [row.admission.key.is_retry for row in played.rows] == [False, True]


@told
async def test_what_may_pass_is_tried_again_at_the_same_provider() -> None:
    async with world(provider("one", Spell(Fault.BROKEN, 0, 0.1)), provider("two", priority=2)) as played:
        assert answered_by(await played.workers[0].ask(question())) == "one"

        assert [row.admission.key.attempt for row in played.rows] == [1, 2]


@told
async def test_nobody_waits_for_one_provider_while_another_is_ready() -> None:
    limited = Spell(Fault.RATE_LIMITED, 0, ALWAYS, hint_s=3)
    async with world(provider("one", limited), provider("two", priority=2)) as played:
        assert answered_by(await played.workers[0].ask(question())) == "two"

        assert clock() < 2


@told
async def test_a_question_waits_for_the_only_provider_as_long_as_it_may() -> None:
    async with world(provider("one", Spell(Fault.RATE_LIMITED, 0, 29, hint_s=30))) as played:
        impatient, patient = await asyncio.gather(
            played.workers[0].ask(question(), within=timedelta(seconds=20)),
            played.workers[1].ask(question(), within=timedelta(seconds=60)),
        )

        assert isinstance(impatient, ProviderFailure)
        assert impatient.failure is FailureClass.RATE_LIMIT
        assert answered_by(patient) == "one"


@told
async def test_who_refuses_a_question_is_not_asked_it_again() -> None:
    limited = Spell(Fault.RATE_LIMITED, 0, 5, hint_s=6)
    async with world(provider("one", Spell(Fault.REFUSES, 0, ALWAYS)), provider("two", limited, priority=2)) as played:
        assert answered_by(await played.workers[0].ask(question())) == "two"

        assert len(played["one"].began) == 1


@told
async def test_a_question_that_makes_no_sense_is_asked_nobody_else() -> None:
    async with world(provider("one", Spell(Fault.REJECTS, 0, ALWAYS)), provider("two", priority=2)) as played:
        answer = await played.workers[0].ask(question())

        assert isinstance(answer, ProviderFailure)
        assert answer.failure is FailureClass.BAD_REQUEST
        assert played["two"].began == []


@told
async def test_a_question_waits_for_room() -> None:
    async with world(provider("one", max_concurrent=1)) as played:
        answers = await asyncio.gather(*(worker.ask(question()) for worker in played.workers))

        assert [answered_by(answer) for answer in answers] == ["one", "one"]


@told
async def test_calls_that_have_ended_leave_room_for_others_at_once() -> None:
    quick = provider("one", max_concurrent=3, ttft_s=0.01, token_s=0.001)
    async with world(quick, provider("two", priority=2), workers=1) as played:
        answers = [await played.workers[0].ask(question()) for _ in range(20)]

        assert {answered_by(answer) for answer in answers} == {"one"}


@told
async def test_what_the_selection_needs_is_prepared_about_once_a_second_however_many_are_answered() -> None:
    quick = provider("one", ttft_s=0.01, token_s=0.001)
    async with world(quick, workers=1) as played:
        with patch.object(snapshots, "prepare", wraps=snapshots.prepare) as prepare:
            for _ in range(100):
                await played.workers[0].ask(question())

        assert prepare.call_count <= clock() + 2


@told
async def test_a_question_that_nobody_can_answer_ends_after_four_failures() -> None:
    cuts = Spell(Fault.CUTS, 0, ALWAYS)
    async with world(*(provider(f"p{number}", cuts) for number in range(6)), workers=1) as played:
        answer = await played.workers[0].ask(question())

        assert isinstance(answer, ProviderFailure)
        assert len(played.rows) == 4


@told
async def test_with_nobody_to_ask_a_question_says_why() -> None:
    async with world(provider("one", enabled=False), workers=1) as played:
        answer = await played.workers[0].ask(question())

        assert isinstance(answer, Unavailable)
        assert "one" in str(answer)


@told
async def test_a_tenant_whose_budget_is_spent_is_not_served() -> None:
    async with world(provider("one"), workers=1, tenant_daily_usd=Decimal("0.0005")) as played:
        answers = [await played.workers[0].ask(question(), within=timedelta(seconds=5)) for _ in range(6)]

        assert answered_by(answers[0]) == "one"
        assert isinstance(answers[-1], NotAdmitted)
        assert played.billed <= Decimal("0.0005")


@told
async def test_without_storage_a_question_is_not_sent() -> None:
    async with world(provider("one"), workers=1) as played:
        played.workers[0].line.is_cut = True

        assert isinstance(await played.workers[0].ask(question()), Unavailable)
        assert played["one"].began == []


@told
async def test_a_trial_that_fails_costs_nobody_an_answer() -> None:
    async with world(provider("one", Spell(Fault.DOWN, 0, ALWAYS)), provider("two", priority=2)) as played:
        answers = []
        for _ in range(20):
            answers += await asyncio.gather(*(worker.ask(question()) for worker in played.workers))
            await asyncio.sleep(2)

        assert {answered_by(answer) for answer in answers} == {"two"}
        assert len(played["one"].began) <= 5


@told
async def test_no_attempt_begins_after_the_time_for_a_question_is_over() -> None:
    silent = Spell(Fault.SILENT, 0, ALWAYS)
    async with world(provider("one", silent, timeout_s=10), provider("two", priority=2)) as played:
        answer = await played.workers[0].ask(question(), within=timedelta(seconds=5))

        assert isinstance(answer, ProviderFailure)
        assert played["two"].began == []
