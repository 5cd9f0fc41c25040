"""What is measured of the provider service, as a section of the page."""

import asyncio
from pathlib import Path

from benchmarks.decisions import decision_costs
from benchmarks.provider_calls import CALLERS, call_costs, our_ten_minutes, peers_ten_minutes
from tests.provider_service import proofs

ROUNDS = 3
DECISIONS = 20_000
FLEETS = (4, 16, 64)
SCHEDULES = 100
OUTAGES = range(4)
# Between two questions.
RARELY_S, OFTEN_S = 4, 0.25


async def provider_section(directory: Path) -> str:
    """Measure the provider service, and return what came of it."""
    costs = await call_costs(directory, rounds=ROUNDS)
    # Virtual time runs on a loop of its own.
    ours = await asyncio.to_thread(our_ten_minutes)
    peer = await peers_ten_minutes()
    decisions = [decision_costs(providers, decisions=DECISIONS) for providers in FLEETS]
    shown = await asyncio.to_thread(_shown)
    return _SECTION.format(
        callers=CALLERS,
        alone=costs.alone,
        together=costs.together,
        peer_alone=costs.peer_alone,
        peer_together=costs.peer_together,
        decisions="\n".join(
            f"| {each.providers} | {each.p50_us:.0f} µs | {each.p99_us:.0f} µs | {each.prepare_ms:.1f} ms |"
            for each in decisions
        ),
        turns=ours.turns,
        outages="\n".join(
            f"| {what} | {our:.{places}f} | {their:.{places}f} |"
            for what, places, our, their in (
                ("turns served within a minute", 0, ours.served, peer.served),
                ("time until the answer, p50, seconds", 1, ours.p50_s, peer.p50_s),
                ("the same, p99", 1, ours.p99_s, peer.p99_s),
                ("attempts a turn", 2, ours.attempts_per_turn, peer.attempts_per_turn),
                ("money spent on what was not served, percent", 1, 100 * ours.wasted_share, 100 * peer.wasted_share),
            )
        ),
        shown=shown,
    )


def _shown() -> str:
    """Tell the stories of the proofs once more, and write down their figures."""
    rare, dense, total = (
        proofs.outages(RARELY_S, seeds=OUTAGES),
        proofs.outages(OFTEN_S, seeds=OUTAGES),
        proofs.total_outage(),
    )
    returns = sorted(each.back_after_s for each in dense)
    money = proofs.money(SCHEDULES)
    knowing, by_price = proofs.conversations(knows_caches=True), proofs.conversations(knows_caches=False)
    seeing = proofs.black_hole(sees_silence=True, priority_of_the_other=2)
    blind = proofs.black_hole(sees_silence=False, priority_of_the_other=2)
    day = proofs.quiet_day()
    longest = max(proofs.hints(), key=lambda wait: wait.waited_s / wait.hint_s)
    rows = (
        (
            f"most attempts at a primary away for 60 s; two workers, a question every {RARELY_S} s ({OFTEN_S})",
            f"{max(each.attempts_at_the_dead for each in rare)} ({max(each.attempts_at_the_dead for each in dense)})",
        ),
        (
            "questions answered in these minutes",
            f"{sum(each.answered for each in (*rare, *dense))} of {sum(each.questions for each in (*rare, *dense))}",
        ),
        (
            "from the end of such an outage to the next answer of the primary; the median, and the longest",
            f"{returns[len(returns) // 2]:.1f} s, {returns[-1]:.1f} s",
        ),
        (
            "its share of the traffic in the first 5 s after its breaker closed; the most",
            f"{max(each.share_at_first for each in dense):.0%}",
        ),
        ("attempts a question while nobody can answer", f"{total.amplification:.2f}"),
        ("longest wait over the hint it follows", f"{longest.waited_s / longest.hint_s:.3f}"),
        (
            "schedules of faults and crashes in which ledger and bill agree",
            f"{money.exact + money.within} of {money.schedules}",
        ),
        ("of these to the cent; the others within the bounds that the ledger states", money.exact),
        (
            "cost of a conversation of 18 turns when the warm cache counts, over by price alone",
            f"{knowing.usd / by_price.usd:.2f}",
        ),
        ("share of its prompts read from a cache, the same two", f"{knowing.cached:.0%}, {by_price.cached:.0%}"),
        (
            "questions exposed to a provider that takes calls and never answers",
            f"{seeing.exposed} ({blind.exposed} where only timeouts count)",
        ),
        ("tokens paid for a day of health checks", f"{day.billed_usd} USD for {day.probes} probes"),
    )
    return "\n".join(f"| {what} | {figure} |" for what, figure in rows)


_SECTION = """\
One call through the whole service (choice, place and reservation in Postgres, stream, settlement) beside the same
request by httpx alone, and beside LiteLLM's Router in its own environment, against one local server: the median of the
rounds, and in brackets the smallest and the largest.

| over raw httpx | aim | the service | LiteLLM |
|---|---|---|---|
| time of a call, 1 caller | ≤ 2 | {alone} | {peer_alone} |
| calls a second, {callers} callers | ≥ 0.5 | {together} | {peer_together} |

| providers | a decision, p50 | p99 (aim ≤ 50 µs) | preparing for many |
|---|---|---|---|
{decisions}

Ten minutes of virtual time, three faulty providers, {turns} turns (`benchmarks/outages.py`); LiteLLM's Router as it
comes, with its fallbacks:

| | the service | LiteLLM |
|---|---|---|
{outages}

What the proofs of `tests/provider_service/proofs.py` show, in virtual time:

| what | measured |
|---|---|
{shown}
"""
