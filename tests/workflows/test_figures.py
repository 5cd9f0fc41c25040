"""Real sessions, and the figures of them."""

from datetime import timedelta

from tertulia.domain.analytics import By, ByDay, Selection
from tertulia.domain.conversation import Close, HandOverToHuman, OperatorMessage
from tertulia.domain.ids import DEFAULT_TENANT
from tertulia.storage.analytics import PostgresAnalytics
from tests import recruiting_script as script
from tests.engine import Engine


async def _selection(engine: Engine) -> Selection:
    """Everything, by the servers' own times."""
    (times,) = await engine.rows("SELECT min(created_at) AS first, max(updated_at) AS last FROM sessions")
    return Selection(tenant=DEFAULT_TENANT, since=times["first"], until=times["last"] + timedelta(seconds=1))


async def test_the_figures_of_a_prescreen_are_those_of_its_script(engine: Engine) -> None:
    chat = await engine.chat("recruiting")
    await chat.say("17:30!!")
    for answer in script.ANSWERS:
        await chat.say(answer)
    left = await engine.chat("recruiting")
    await left.say(script.ANSWERS[0])
    await engine.sessions.close(left.id, Close())
    analytics, of = PostgresAnalytics(engine.pool), await _selection(engine)

    funnel = {row.state: row for row in await analytics.funnel(of)}
    assert {state: row.reached for state, row in funnel.items()} == {
        "initialized": 2,
        "onboarding": 2,
        "collecting_info": 1,
        "processing": 1,
        "waiting_for_input": 1,
        "completed": 1,
    }
    assert (funnel["onboarding"].abandoned, funnel["onboarding"].drop_off_rate) == (1, 0.5)
    assert (funnel["completed"].contained, funnel["completed"].went_on) == (1, 0)
    (outcome,) = await analytics.outcomes(of, ByDay.ALL)
    assert (outcome.sessions, outcome.contained, outcome.abandoned, outcome.completed) == (2, 1, 1, 1)
    slots = {row.slot: row for row in await analytics.slots(of)}
    name = slots["name"]
    assert (name.asked, name.heard, name.answered, name.not_understood, name.re_asked) == (3, 3, 2, 1, 1)
    assert all(row.answered == 1 for slot, row in slots.items() if slot not in {"name", "email"})
    (replies,) = await analytics.response_times(of, ByDay.ALL)
    assert replies.replies == len(script.ANSWERS) + 2
    (volume,) = await analytics.volumes(of, By.ALL)
    assert (volume.sessions, volume.from_person) == (2, len(script.ANSWERS) + 2)
    stays = {row.state: row.stays for row in await analytics.state_times(of)}
    assert (stays["onboarding"], stays["processing"]) == (2, stays["waiting_for_input"] + 1)
    assert "completed" not in stays


async def test_a_session_that_a_human_had_counts_as_handed_over_in_every_run_of_its_workflow(engine: Engine) -> None:
    sessions = engine.with_turns_per_run(2)
    chat = await engine.chat("assistant", sessions)
    await sessions.order(chat.id, HandOverToHuman(reason="it is delicate", operator="eva"))
    await sessions.order(chat.id, OperatorMessage(text="I am Eva.", operator="eva"))
    for text in ("One", "Two", "Three"):
        await chat.say(text)
    analytics, of = PostgresAnalytics(engine.pool), await _selection(engine)

    (outcome,) = await analytics.outcomes(of, ByDay.ALL)
    assert (outcome.handed_over, outcome.in_progress) == (1, 0)
    (volume,) = await analytics.volumes(of, By.ALL)
    assert (volume.from_person, volume.from_assistant, volume.from_operator) == (3, 1, 1)
    (state,) = await analytics.funnel(of)
    assert (state.state, state.reached, state.handed_over) == ("talking", 1, 1)


async def test_a_session_that_providers_answered_tells_what_they_did(engine: Engine) -> None:
    chat = await engine.chat("assistant")
    await chat.say("Hello")
    analytics, of = PostgresAnalytics(engine.pool), await _selection(engine)

    (provider,) = await analytics.providers(of)
    assert (provider.provider, provider.attempts, provider.success_rate) == ("first", 1, 1.0)
    (replies,) = await analytics.response_times(of, ByDay.ALL)
    assert (replies.replies, replies.first_texts) == (1, 1)
    (cost,) = await analytics.costs(of)
    assert (cost.definition, cost.sessions, cost.completed) == ("assistant", 1, 0)
    assert await analytics.providers(of.model_copy(update={"definition": "recruiting"})) == []
