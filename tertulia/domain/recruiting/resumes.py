"""What rules can find in the text of a résumé. Every finding says where it stands, so that people can check it.

Only what a rule is sure of is found: a phone number without a country code, or a skill outside of a list of skills,
is not. English headings and words; other languages are left to a provider.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Generic, Literal, NamedTuple, TypeVar

from pydantic import AwareDatetime

from tertulia.domain.conversation import Payload
from tertulia.domain.slots import Understood
from tertulia.domain.slots.contacts import emails, phones
from tertulia.domain.slots.phrases import clean, words
from tertulia.domain.slots.texts import understand_name

T = TypeVar("T")

MAX_FILE_BYTES = 5 * 1024 * 1024

# Longer lines are no lines of a résumé, and later ones add nothing to what is found.
_LINE_CHARS = 400
_MOST_LINES = 3000
_MOST_FOUND = 50
# Whose résumé it is stands at its top; how to reach them stands on its first page, by its columns perhaps at the end.
_HEAD_LINES = 8
_CONTACT_LINES = 200
_SKILL_CHARS = range(1, 41)
LONGEST_CAREER_YEARS = 60
QUOTE_CHARS = 200
_PERIODS_OF_A_LINE = 3

_HEADINGS = {
    "experience": words(
        "experience work-experience professional-experience employment employment-history work-history career"
        " career-history professional-background relevant-experience"
    ),
    "education": words("education academic-background academic-history qualifications education-and-training studies"),
    "skills": words(
        "skills technical-skills key-skills core-skills core-competencies competencies technologies tools"
        " skills-and-tools technical-expertise expertise"
    ),
    "other": words(
        "profile summary about about-me objective contact contact-details languages interests hobbies references"
        " projects publications certificates certifications awards volunteering personal-details achievements"
        " curriculum-vitae cv resume résumé"
    ),
}
_SECTION = {heading: section for section, headings in _HEADINGS.items() for heading in headings}

_TITLES = frozenset(
    words(
        "engineer developer manager designer analyst consultant architect administrator specialist assistant director"
        " scientist researcher officer lead head student graduate teacher nurse accountant technician programmer intern"
        " senior junior software data product project sales marketing page university street road avenue"
    )
)
_NAMED = re.compile(r"(?:full )?name\s*:\s*(.+)", re.IGNORECASE)
_BEHIND_A_NAME = re.compile(r"\s+[-\u2013\u2014|\u2022\u00b7]\s.*")
_NAME = re.compile(r"[^\W\d_][\w'\u2019.\-]*(?: [^\W\d_][\w'\u2019.\-]*){1,4}")
_LINK = re.compile(
    r"(?<![\w@.])(?:https?://)?(?:www\.)?"
    r"(?:(?:linkedin\.com/in|github\.com|gitlab\.com|stackoverflow\.com/users|xing\.com/profile)/[\w\-./%]{1,100}"
    r"|(?<=://)[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,5}(?:/[\w\-./%~?=&#]{0,150})?"
    r"|(?<=://www\.)[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,5}(?:/[\w\-./%~?=&#]{0,150})?)",
    re.IGNORECASE,
)
_STATED_YEARS = re.compile(
    r"\b(\d{1,2}(?:\.\d)?)\s*\+?\s*years?['\u2019]?(?: of)?(?: [a-z]+){0,3} experience\b", re.IGNORECASE
)
_MONTHS = {name: number for number, name in enumerate(words("jan feb mar apr may jun jul aug sep oct nov dec"), 1)}
_POINT = r"(?:(?P<{0}_word>[a-z]{{3,9}})\.?,? |(?P<{0}_month>0?[1-9]|1[0-2])[/.])?(?P<{0}_year>(?:19|20)\d\d)"
_PERIOD = re.compile(
    rf"(?<![\d/.]){_POINT.format('start')}\s*(?:-|\u2013|\u2014|to|until)\s*"
    rf"(?:{_POINT.format('end')}(?!\d)|(?P<now>present|now|today|current|date))",
    re.IGNORECASE,
)
_DEGREE = re.compile(
    r"\b(?:[bm]\.?\s?sc|[bm]\.?\s?eng|[bm]\.a\b|[bm]a (?=in|of)|ph\.?\s?d|mba|bachelor(?:'s|\u2019s|s)?"
    r"|master(?:'s|\u2019s| of)|doctora(?:te|l)|diploma?|apprenticeship|high school|abitur|a-levels)\b",
    re.IGNORECASE,
)
_ITEM_SEPARATOR = re.compile(r"[,;|\t\u2022\u00b7\u25aa]|\s{3,}|\s[-\u2013]\s")
_LABEL = re.compile(r"^[^:]{1,40}:\s*")
_BULLET = re.compile(r"^\s*[-*\u2022\u00b7\u25aa\u2013o]\s+")


class Found(Payload, Generic[T]):
    """A value, and where it was found.

    Attributes:
        line: In the extracted text, from 1.
        quote: What stands there, shortened.
        by: What found it.
    """

    value: T
    line: int
    quote: str
    by: Literal["rule", "provider"] = "rule"


class Resume(Payload):
    """What was found in a résumé; None and nothing where nothing was.

    Attributes:
        experience_years: As it is stated, else the time covered by the periods of work experience, one decimal.
    """

    name: Found[str] | None = None
    email: Found[str] | None = None
    phone: Found[str] | None = None
    links: tuple[Found[str], ...] = ()
    experience_years: Found[float] | None = None
    skills: tuple[Found[str], ...] = ()
    education: tuple[Found[str], ...] = ()


class StoredResume(Payload):
    """A candidate's résumé as stored, without its content.

    Attributes:
        media_type: By its content, whatever it was called.
        size_bytes: Of the file.
        found: What was found in it.
    """

    media_type: str
    size_bytes: int
    found: Resume
    uploaded_at: AwareDatetime


class ResumeFile(NamedTuple):
    """A résumé as it was uploaded."""

    media_type: str
    content: bytes


class TakenResume(NamedTuple):
    """What a file says, and what was stored of it."""

    text: str
    stored: StoredResume


class ResumeText(Payload):
    """The text of a file, and what kind of file it is by its content."""

    media_type: str
    text: str


class _Line(NamedTuple):
    number: int
    text: str
    section: str


def parse(text: str, today: date) -> Resume:
    """Find by rules what a résumé says.

    Args:
        text: Of any length; only its first 3,000 lines, and the first 400 characters of each, are read.
        today: What a period "until now" ends with.

    Returns:
        The findings. Never raises.
    """
    lines = list(_lines(text))
    contacts = lines[:_CONTACT_LINES]
    return Resume(
        name=next(_names(lines), None),
        email=next((_at(line, found) for line in contacts for found in emails(line.text)), None),
        phone=next((_at(line, found) for line in contacts for found in phones(line.text, None)), None),
        links=distinct(_at(line, _address(found[0])) for line in lines for found in _LINK.finditer(line.text)),
        experience_years=_stated_years(lines) or _worked_years(lines, today),
        skills=distinct(skill for line in lines if line.section == "skills" for skill in _skills(line)),
        education=distinct(_at(line, _BULLET.sub("", line.text)) for line in lines if _is_of_education(line)),
    )


def _lines(text: str) -> Iterator[_Line]:
    """Go through the lines that say something, each with the section it stands in."""
    section = "head"
    for number, raw in enumerate(text.splitlines()[:_MOST_LINES], 1):
        line = clean(raw[:_LINE_CHARS])
        if not line:
            continue
        heading = _SECTION.get("-".join(line.lower().replace("&", "and").strip(" :").split()))
        section = heading or section
        if heading is None:
            yield _Line(number, raw[:_LINE_CHARS].strip() if section == "skills" else line, section)


def _at(line: _Line, value: T) -> Found[T]:
    return Found[T](value=value, line=line.number, quote=line.text[:QUOTE_CHARS])


def distinct(found: Iterator[Found[str]]) -> tuple[Found[str], ...]:
    """Keep the first of those that say the same, at most 50."""
    first: dict[str, Found[str]] = {}
    for each in found:
        first.setdefault(each.value.lower(), each)
        if len(first) == _MOST_FOUND:
            break
    return tuple(first.values())


def _names(lines: Sequence[_Line]) -> Iterator[Found[str]]:
    head = lines[:_HEAD_LINES]
    for line in head:
        if named := _NAMED.fullmatch(line.text):
            yield from _name(line, named[1])
    for line in head:
        if line.section in ("head", "other"):
            yield from _name(line, _BEHIND_A_NAME.sub("", line.text))


def _name(line: _Line, text: str) -> Iterator[Found[str]]:
    """Take a text for a name if it is nothing else, and every word of it begins like one."""
    outcome = understand_name(text.title() if text.isupper() else text)
    if not _NAME.fullmatch(text) or not isinstance(outcome, Understood):
        return
    parts = str(outcome.value).split()
    is_title = not _TITLES.isdisjoint(part.lower() for part in parts)
    if len(parts) > 1 and parts[0][0].isupper() and parts[-1][0].isupper() and not is_title:
        yield _at(line, str(outcome.value))


def _address(link: str) -> str:
    bare = link.rstrip("./")
    return bare if bare.lower().startswith("http") else f"https://{bare}"


def _stated_years(lines: Sequence[_Line]) -> Found[float] | None:
    stated = ((line, match) for line in lines if (match := _STATED_YEARS.search(line.text)))
    return next((_at(line, float(match[1])) for line, match in stated), None)


def _worked_years(lines: Sequence[_Line], today: date) -> Found[float] | None:
    """Add up the periods of work experience, each month once."""
    worked: set[int] = set()
    first: _Line | None = None
    for line in lines:
        if line.section == "experience" and (months := _months_worked(line.text, today)):
            worked |= months
            first = first or line
    return _at(first, round(len(worked) / 12, 1)) if first else None


def _months_worked(text: str, today: date) -> set[int]:
    """Return the months that the periods in a line cover, counted from year 0."""
    months: set[int] = set()
    for period in islice(_PERIOD.finditer(text), _PERIODS_OF_A_LINE):
        start = _month(period, "start", 1)
        # Of "2015 - 2018" only the years between are certain, so it counts up to the beginning of the last one.
        this_month = today.year * 12 + today.month
        end = this_month if period["now"] else _month(period, "end", 0)
        if 0 <= end - start < LONGEST_CAREER_YEARS * 12 and end <= this_month:
            months |= set(range(start, end + 1))
    return months


def _month(period: re.Match[str], which: str, otherwise: int) -> int:
    word, number = period[f"{which}_word"], period[f"{which}_month"]
    month = int(number) if number else _MONTHS.get((word or "").lower()[:3], otherwise)
    return int(period[f"{which}_year"]) * 12 + month


def _skills(line: _Line) -> Iterator[Found[str]]:
    listed = _LABEL.sub("", _BULLET.sub("", line.text))
    for item in _ITEM_SEPARATOR.split(listed):
        skill = clean(item).strip(" .")
        if len(skill) in _SKILL_CHARS and any(character.isalnum() for character in skill):
            yield _at(line, skill)


def _is_of_education(line: _Line) -> bool:
    return line.section in ("education", "head", "other") and _DEGREE.search(line.text) is not None
