"""What the rules find in a résumé's text, and where."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.recruiting.resumes import Found, Resume, parse

TODAY = date(2026, 3, 14)
ADA = """\
Curriculum Vitae

ADA LOVELACE
Senior Software Engineer
ada@example.org | +34 612 345 678 | linkedin.com/in/ada-l | https://ada.dev/blog.

Work Experience
Acme, Jan 2018 \u2013 Dec 2020
Umbrella, 07/2020 - present

Education
\u2022 B.Sc. Computer Science, Madrid, 2011 - 2015

Skills & Tools
Languages: Python, Go; C++ | PostgreSQL
- Docker\tKubernetes
Python

References
on request
"""


def test_a_resume_is_read_with_the_place_of_each_finding() -> None:
    found = parse(ADA, TODAY)

    assert found.name == Found(value="Ada Lovelace", line=3, quote="ADA LOVELACE")
    assert found.email is not None
    assert (found.email.value, found.email.line) == ("ada@example.org", 5)
    assert found.phone is not None
    assert (found.phone.value, found.phone.line) == ("+34612345678", 5)
    assert [link.value for link in found.links] == ["https://linkedin.com/in/ada-l", "https://ada.dev/blog"]
    assert [(skill.value, skill.line) for skill in found.skills] == [
        ("Python", 15),
        ("Go", 15),
        ("C++", 15),
        ("PostgreSQL", 15),
        ("Docker", 16),
        ("Kubernetes", 16),
    ]
    assert [(each.value, each.line) for each in found.education] == [
        ("B.Sc. Computer Science, Madrid, 2011 - 2015", 12)
    ]


def test_months_that_two_jobs_share_count_once() -> None:
    # January 2018 to March 2026.
    found = parse(ADA, TODAY).experience_years

    assert found is not None
    assert (found.value, found.line) == (8.2, 8)


@pytest.mark.parametrize(
    ("line", "years"),
    [
        ("2015 - 2018", 3),
        ("2015 to 2018", 3),
        ("March 2015 - February 2018", 3),
        ("03/2015 \u2014 02/2018", 3),
        ("Mar. 2015 until Feb. 2018", 3),
        ("January 2025 - today", 1.2),
        ("2018 - 2015", None),
        ("2025 - 2029", None),
        ("1900 - 2020", None),
        ("nothing", None),
    ],
)
def test_a_period_of_work_counts_its_certain_months(line: str, years: float | None) -> None:
    found = parse(f"Experience\n{line}", TODAY).experience_years

    assert (found and found.value) == years


@pytest.mark.parametrize(
    ("line", "years"),
    [
        ("Engineer with 8 years of experience", 8),
        ("over 10+ years\u2019 professional experience", 10),
        ("2.5 years experience", 2.5),
        ("7 years of hands-on experience", None),
        ("8 years of age", None),
    ],
)
def test_what_is_stated_goes_before_what_is_worked_out(line: str, years: float | None) -> None:
    found = parse(f"{line}\nExperience\n2015 - 2016", TODAY).experience_years

    assert found is not None
    assert found.value == (years or 1)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("JOSÉ MARÍA LÓPEZ", "José María López"),
        ("Résumé\nName: Ada King Lovelace", "Ada King Lovelace"),
        ("Anne-Marie O'Neil", "Anne-Marie O'Neil"),
        ("Software Engineer\nAda Lovelace", "Ada Lovelace"),
        ("Ada Lovelace - Engineer, Madrid", "Ada Lovelace"),
        ("Ada Lovelace | ada@example.org", "Ada Lovelace"),
        ("Ada", None),
        ("I am looking for a job", None),
        ("Experience\nAda Lovelace", None),
        ("10 Downing Street", None),
    ],
)
def test_a_name_stands_at_the_top(head: str, name: str | None) -> None:
    found = parse(head, TODAY).name

    assert (found and found.value) == name


@pytest.mark.parametrize(
    ("line", "is_degree"),
    [
        ("2014-2018 BSc Computer Science", True),
        ("M.A. in History, Oxford", True),
        ("BA in Economics", True),
        ("Master of Arts", True),
        ("PhD, Physics", True),
        ("Boston, MA", False),
        ("Scrum master", False),
        ("Primary school teacher", False),
    ],
)
def test_a_degree_is_known_by_its_name(line: str, is_degree: bool) -> None:
    assert [each.value for each in parse(line, TODAY).education] == [line] * is_degree


def test_a_phone_number_without_its_country_is_not_guessed_at() -> None:
    assert parse("612 345 678", TODAY).phone is None


def test_skills_are_read_in_their_section_only() -> None:
    assert parse("Python, Go\nHobbies\nSwimming, chess", TODAY).skills == ()


def test_an_address_is_not_a_link() -> None:
    assert parse("ada@github.com/ada and foo.example.org", TODAY).links == ()


def test_a_text_that_is_no_resume_says_nothing() -> None:
    assert parse("Lorem ipsum dolor sit amet, consectetur adipiscing elit.", TODAY) == Resume()


@given(st.text(max_size=400) | st.lists(st.sampled_from(ADA.split(" "))).map(" ".join))
def test_no_text_breaks_the_rules(text: str) -> None:
    found = parse(text, TODAY)

    assert all(each.value and 1 <= each.line <= len(text.splitlines()) for each in (*found.skills, *found.links))
