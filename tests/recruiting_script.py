"""A candidate's whole conversation with the bundled recruiting application, as data for tests of every layer.

It needs no provider: the rules understand every answer.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import JsonValue

RESUME = """\
Ana López - Backend Engineer, Madrid

2021-2026 Senior Backend Engineer, Almacenes Rueda: order processing in Python and PostgreSQL, 4,000 orders a minute.
2018-2021 Backend Engineer, Correo Norte: parcel tracking, first in PHP, then in Python.
2014-2018 BSc Computer Science, Universidad Complutense de Madrid.

Languages: Spanish, English, some German.
"""
MOTIVATION = "I like building services that other people can rely on, and your product is one I use."


class Exchange(NamedTuple):
    """A question, which ends what the bot says; the answer to it; and the state and the slot that they are about."""

    state: str
    slot: str
    question: str
    answer: str


EXCHANGES: tuple[Exchange, ...] = (
    Exchange("onboarding", "name", "What is your name?", "Hi, I'm Ana López"),
    Exchange("onboarding", "email", "At which e-mail address can we reach you?", "ana.lopez@example.org"),
    Exchange("onboarding", "phone", "And what is your phone number, with the country code?", "+34 612 345 678"),
    Exchange("onboarding", "role", "Which position are you applying for?", "Backend engineer"),
    Exchange(
        "onboarding",
        "experience_years",
        "How many years of professional experience do you have?",
        "about 8 years",
    ),
    Exchange(
        "collecting_info",
        "resume",
        'Please paste the text of your résumé here, or say "skip" if you don\'t have it at hand.',
        RESUME,
    ),
    Exchange(
        "waiting_for_input",
        "work_authorisation",
        "Are you allowed to work in the European Union?",
        "Yes, I am",
    ),
    Exchange("waiting_for_input", "notice_period", "How long is your notice period?", "4 weeks"),
    Exchange("waiting_for_input", "skill_years", "For how many years have you worked with Python?", "six"),
    Exchange(
        "waiting_for_input",
        "salary_expectation",
        "What yearly salary do you expect, before taxes, in euros?",
        "60k, negotiable",
    ),
    Exchange("waiting_for_input", "start_date", "When could you start at the earliest?", "in six weeks"),
    Exchange(
        "waiting_for_input",
        "work_mode",
        "How would you like to work: remote, hybrid or on-site?",
        "hybrid, please",
    ),
    Exchange(
        "waiting_for_input",
        "motivation",
        "Last question: why are you interested in this position?",
        MOTIVATION,
    ),
)

ANSWERS: tuple[str, ...] = tuple(exchange.answer for exchange in EXCHANGES)

GREETING = "Hello, and welcome!"
GOODBYE = "That was everything, Ana López."
CLOSING = "Your application is complete"

FINAL_STATE = "completed"


def final_slots(now: datetime) -> dict[str, JsonValue]:
    """Return all slots of the conversation when it has been held on the day of `now`."""
    return {
        "name": "Ana López",
        "email": "ana.lopez@example.org",
        "phone": "+34612345678",
        "role": "Backend engineer",
        "experience_years": 8,
        "resume": {
            "characters": len(RESUME.strip()),
            "words": len(RESUME.split()),
            "excerpt": " ".join(RESUME.split())[:280],
        },
        "work_authorisation": True,
        "notice_period": 28,
        "skill_years": 6,
        "salary_expectation": 60000,
        "start_date": (now.astimezone(UTC).date() + timedelta(weeks=6)).isoformat(),
        "work_mode": "hybrid",
        "motivation": MOTIVATION,
        "score": 90.1,
        "must_have_failed": False,
    }
