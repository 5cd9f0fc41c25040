"""Providers complete what rules find in a résumé, and are believed only what they can quote from it."""

import json
from datetime import date
from typing import Any

import pytest

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.ids import TenantId
from tertulia.domain.providers.completions import Completion, FinishReason
from tertulia.domain.recruiting import resumes
from tertulia.domain.recruiting.resumes import Found, Resume
from tertulia.recruiting.resume_completion import ResumeCompletion
from tertulia.recruiting.structured import Structured
from tests.fakes import ScriptedCompletions

GERMAN = """\
Lebenslauf
Ada Lovelace
Kenntnisse: Python,   Go
Beruflicher Werdegang
Entwicklerin bei Acme, seit 9 Jahren
Ausbildung
Mathematik, TU Berlin
"""
NOTHING: dict[str, Any] = {"name": None, "experience_years": None, "skills": [], "education": []}


async def completed(text: str, read: dict[str, Any] | str | Exception) -> tuple[Resume, ScriptedCompletions]:
    completions = ScriptedCompletions()
    answer = json.dumps(NOTHING | read) if isinstance(read, dict) else read
    end = Completion(text=answer, finish=FinishReason.STOP) if isinstance(answer, str) else answer
    completions.answers.append(((), end))
    by_rules = resumes.parse(text, date(2026, 3, 1))
    return await ResumeCompletion(Structured(completions)).complete(TenantId("acme"), text, by_rules), completions


async def test_what_the_rules_can_not_read_is_read_by_a_provider_with_its_place() -> None:
    found, _ = await completed(
        GERMAN,
        {
            "experience_years": {"value": 9, "quote": "seit 9 Jahren"},
            "skills": [{"value": "Python", "quote": "Kenntnisse: Python, Go"}, {"value": "Go", "quote": "Python, Go"}],
            "education": [{"value": "Mathematik, TU Berlin", "quote": "Mathematik"}],
        },
    )
    assert found.experience_years == Found(value=9, line=5, quote="Entwicklerin bei Acme, seit 9 Jahren", by="provider")
    assert [(skill.value, skill.line) for skill in found.skills] == [("Python", 3), ("Go", 3)]
    assert [each.line for each in found.education] == [7]


async def test_what_the_rules_have_found_stands() -> None:
    found, _ = await completed(GERMAN, {"name": {"value": "TU Berlin", "quote": "TU Berlin"}})
    assert found.name is not None
    assert (found.name.value, found.name.by) == ("Ada Lovelace", "rule")


@pytest.mark.parametrize(
    "read",
    [
        {"skills": [{"value": "Rust", "quote": "Kenntnisse: Python, Go"}]},
        {"skills": [{"value": "Rust", "quote": "Rust"}]},
        {"skills": [{"value": "Python", "quote": ""}]},
        {"skills": [{"value": "", "quote": "Python, Go"}]},
        {"experience_years": {"value": 9, "quote": "since nine years"}},
        {"experience_years": {"value": 900, "quote": "seit 9 Jahren"}},
        {"experience_years": {"value": -1, "quote": "seit 9 Jahren"}},
        "no JSON",
        {"skills": "Python"},
        ProviderFailure(FailureClass.SERVER, "500"),
    ],
    ids=str,
)
async def test_what_does_not_stand_in_the_resume_is_not_believed(read: Any) -> None:
    found, completions = await completed(GERMAN, read)
    assert completions.asked
    assert found == resumes.parse(GERMAN, date(2026, 3, 1))


async def test_nobody_is_asked_where_the_rules_find_everything() -> None:
    english = "Ada Lovelace\n9 years of experience\nSkills\nPython\nEducation\nBSc Mathematics\n"
    found, completions = await completed(english, NOTHING)
    assert found.education
    assert completions.asked == []


async def test_a_long_resume_is_shown_by_its_beginning() -> None:
    _, completions = await completed(GERMAN + "x" * 100_000, NOTHING)
    (request, _, _) = completions.asked[0]
    assert len(request.messages[1].text) == 24_000
