"""The evidence of a turn: who was asked, who was passed over and why, and what it took."""

from nicegui import ui

from tertulia.console.frame import badge, clock, dollars, facts, milliseconds
from tertulia.domain.turns import AttemptRecord, TurnRecord

_TONES = {"answered": "good", "failed": "bad", "cancelled": "quiet", "interrupted": "quiet", "handed_over": "fair"}


def show_evidence(turn: TurnRecord) -> None:
    """Show all that is known of how a turn went."""
    with ui.element("div").classes("line-head"):
        with ui.element("h2"):
            ui.label(f"Turn {turn.turn}")
        badge(turn.status.replace("_", " "), _TONES.get(turn.status, "fair"))
    ended = "" if turn.ended_at is None else f"{(turn.ended_at - turn.started_at).total_seconds():.2f} s"
    told = {
        "Began": clock(turn.started_at),
        "Took": ended,
        "State": " → ".join(filter(None, dict.fromkeys((turn.state_before, turn.state_after)))),
    }
    if turn.intervention:
        told["Somebody stepped in"] = f"{turn.intervention.action.replace('_', ' ')} {turn.intervention.operator}"
    facts({name: value for name, value in told.items() if value})
    if not turn.attempts and not turn.passed_over:
        ui.label("Rules understood it; no provider was needed.").classes("soft")
    for attempt in turn.attempts:
        _show_attempt(attempt)
    if turn.passed_over:
        with ui.element("h3"):
            ui.label("Passed over")
        facts({passed.provider: passed.reason for passed in turn.passed_over})


def _show_attempt(attempt: AttemptRecord) -> None:
    key, outcome = attempt.key, attempt.outcome
    with ui.element("section").classes("attempt"):
        with ui.element("div").classes("line-head"):
            with ui.element("h3"):
                ui.label(f"{key.provider}, attempt {key.attempt}")
            if outcome is None:
                badge("running", "fair")
            else:
                badge(outcome.failure or "answered", "bad" if outcome.failure else "good")
        if outcome is None:
            return
        usage = outcome.usage
        tokens_in = usage.input_uncached + usage.input_cached + usage.input_cache_write
        told = {
            "Model": outcome.model,
            "First text": milliseconds(outcome.ttft_ms),
            "All text": milliseconds(outcome.latency_ms),
            "Tokens": f"{tokens_in} in, {usage.output_visible + usage.output_reasoning} out ({usage.source})",
            "Cost": f"{dollars(outcome.cost_usd)} ({outcome.cost_source})",
            "Detail": outcome.detail,
        }
        facts({name: value for name, value in told.items() if value})
