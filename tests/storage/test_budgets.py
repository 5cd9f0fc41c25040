"""Budgets: nothing is spent twice, and nothing that may have been spent is forgotten."""

import asyncio
from decimal import Decimal

import pytest

from tertulia.domain.providers.attempts import Refusal
from tertulia.domain.providers.reports import TenantBudget

from .examples import at
from .provider_examples import ACME, GEMINI, GROQ, LEASE, Stores, answered, attempt, failed

DAY = 24 * 60


async def test_a_budget_is_never_exceeded_by_attempts_that_are_admitted_together(stores: Stores) -> None:
    admitted = await asyncio.gather(
        *(
            stores.attempts.admit(attempt(f"a{number}", limit=50, reserve="0.3", budget="2", tenant=f"t{number % 5}"))
            for number in range(50)
        )
    )

    assert sum(not isinstance(slot, Refusal) for slot in admitted) == 6
    assert {slot for slot in admitted if isinstance(slot, Refusal)} == {Refusal.BUDGET_SPENT}
    assert (await stores.known()).spent_usd == Decimal("1.8")


async def test_what_was_reserved_and_not_used_is_given_back(stores: Stores) -> None:
    await stores.ended(attempt("a1", reserve="2", budget="2"), answered("0.5"), 1)

    assert await stores.attempts.admit(attempt("a2", reserve="1.6", budget="2")) == Refusal.BUDGET_SPENT
    assert await stores.attempts.admit(attempt("a2", reserve="1.5", budget="2")) == 1


async def test_a_refused_attempt_takes_nothing(stores: Stores) -> None:
    await stores.budgets.store(ACME, Decimal(1))
    await stores.attempts.admit(attempt("a1", limit=1, reserve="0.5", budget="9", tenant=ACME))

    over_tenant = await stores.attempts.admit(attempt("a2", limit=2, reserve="0.6", budget="9", tenant=ACME))
    over_slots = await stores.attempts.admit(attempt("a3", limit=1, reserve="0.5", budget="9", tenant=ACME))

    assert (over_tenant, over_slots) == (Refusal.TENANT_BUDGET_SPENT, Refusal.NO_ROOM)
    known = await stores.known()
    assert (known.in_flight, known.spent_usd) == (1, Decimal("0.5"))
    assert await stores.budgets.read(ACME, at(1)) == TenantBudget(ACME, Decimal(1), Decimal("0.5"))


async def test_a_crash_leaves_its_reservation_spent_until_the_truth_is_known(stores: Stores) -> None:
    await stores.attempts.admit(attempt("a1", reserve="1.5", budget="2"))
    await stores.attempts.sweep(at(0) + LEASE)
    while_lost = (await stores.known()).spent_usd

    await stores.attempts.settle("a1", answered("0.25"), at(1))
    await stores.attempts.settle("a1", answered("0.25"), at(1))

    assert (while_lost, (await stores.known()).spent_usd) == (Decimal("1.5"), Decimal("0.25"))


async def test_a_failure_counts_at_what_it_can_have_cost_at_most_and_as_reserved_where_nobody_knows(
    stores: Stores,
) -> None:
    await stores.ended(attempt("a1", reserve="2", budget="9"), failed(cost_usd="0.1", cost_at_most_usd="0.7"), 1)
    await stores.ended(attempt("a2", reserve="3", budget="9"), failed(), 1)

    assert (await stores.known()).spent_usd == Decimal("3.7")


async def test_a_day_begins_with_a_whole_budget_and_pays_for_what_began_in_it(stores: Stores) -> None:
    evening = attempt("a1", minute=DAY / 2 - 1, reserve="2", budget="2")
    await stores.attempts.admit(evening)
    tomorrow = attempt("a2", minute=DAY / 2, reserve="2", budget="2")

    assert await stores.attempts.admit(tomorrow) == 2
    await stores.attempts.settle("a1", answered("1"), at(DAY / 2 + 1))
    assert [(await stores.known(minute=minute)).spent_usd for minute in (0, DAY / 2)] == [1, 2]


async def test_a_budget_that_is_new_today_counts_what_was_spent_before(stores: Stores) -> None:
    await stores.ended(attempt("before", reserve="9", minute=-DAY), answered("9"), -DAY)
    await stores.ended(attempt("a1", reserve="2", tenant=ACME), answered("1.25"), 1)
    await stores.attempts.admit(attempt("a2", reserve="0.5", tenant=ACME))
    await stores.attempts.admit(attempt("a3", GEMINI, reserve="0.25", tenant=ACME))
    await stores.budgets.store(ACME, Decimal(3))

    assert await stores.attempts.admit(attempt("b1", reserve="0.26", budget="2")) == Refusal.BUDGET_SPENT
    assert await stores.attempts.admit(attempt("b2", reserve="0.25", budget="2")) == 2
    assert (
        await stores.attempts.admit(attempt("b3", GEMINI, reserve="1.01", tenant=ACME)) == Refusal.TENANT_BUDGET_SPENT
    )
    assert await stores.attempts.admit(attempt("b4", GEMINI, reserve="1", tenant=ACME)) == 2


async def test_a_tenant_pays_at_all_providers_together(stores: Stores) -> None:
    await stores.budgets.store(ACME, Decimal(2))
    tried = [
        attempt(f"a{number}", provider, reserve="0.9", tenant=ACME)
        for number, provider in enumerate([GROQ, GEMINI, GROQ])
    ]

    assert [await stores.attempts.admit(each) for each in tried] == [1, 1, Refusal.TENANT_BUDGET_SPENT]
    assert await stores.attempts.admit(attempt("other", reserve="0.9")) == 2


async def test_a_tenant_without_a_budget_spends_as_it_likes(stores: Stores) -> None:
    await stores.budgets.store(ACME, Decimal("0.1"))
    await stores.budgets.remove(ACME)
    await stores.budgets.remove(ACME)

    assert await stores.budgets.read(ACME, at(0)) is None
    assert await stores.attempts.admit(attempt(reserve="99", tenant=ACME)) == 1


@pytest.mark.parametrize("tenant_daily_usd", [Decimal(2)])
async def test_the_budget_of_all_holds_where_a_tenant_has_none_of_its_own(
    stores: Stores, tenant_daily_usd: Decimal
) -> None:
    await stores.budgets.store(ACME, Decimal(3))

    assert await stores.attempts.admit(attempt("a1", reserve="2.5")) == Refusal.TENANT_BUDGET_SPENT
    assert await stores.attempts.admit(attempt("a2", reserve="2.5", tenant=ACME)) == 1
    own = await stores.budgets.read(ACME, at(0))
    assert own == TenantBudget(ACME, Decimal(3), Decimal("2.5"))
    await stores.budgets.remove(ACME)
    assert await stores.budgets.read(ACME, at(0)) == TenantBudget(ACME, tenant_daily_usd, Decimal("2.5"))
    assert await stores.attempts.admit(attempt("a3", reserve="0.1", tenant=ACME)) == Refusal.TENANT_BUDGET_SPENT


async def test_money_is_conserved_whatever_happens_to_the_attempts(stores: Stores) -> None:
    async def live(number: int) -> None:
        name = f"a{number}"
        slot = await stores.attempts.admit(attempt(name, limit=61, reserve="0.01", budget="99", tenant=ACME))
        assert not isinstance(slot, Refusal)
        if number % 3 == 0:
            await stores.attempts.sweep(at(1))
        if number % 2 == 0:
            await stores.attempts.settle(name, answered("0.007"), at(1))

    await stores.budgets.store(ACME, Decimal(99))
    await stores.attempts.admit(attempt("first", limit=61, reserve="0", budget="99", tenant=ACME))
    await asyncio.gather(*(live(number) for number in range(60)))
    await stores.attempts.sweep(at(2))

    spent = Decimal("0.007") * 30 + Decimal("0.01") * 30
    assert (await stores.known()).spent_usd == spent
    assert await stores.budgets.read(ACME, at(0)) == TenantBudget(ACME, Decimal(99), spent)
