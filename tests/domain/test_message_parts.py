"""Long texts are cut where a reader would pause, and nothing of them is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.message_parts import length, parts

LIMITS = st.integers(2, 60)
TEXTS = st.text(st.sampled_from("ab .,!?\n\u00e9\U0001f469\u200d\u0301\ufe0f"), max_size=300) | st.text(max_size=200)


def _cut(text: str, limit: int, room: int = 0) -> list[str]:
    return [text[span.start : span.end] for span in parts(text, limit, room)]


def _without_blanks(text: str) -> str:
    return "".join(text.split())


@given(TEXTS, LIMITS, st.integers(0, 58))
def test_no_part_is_too_long_or_blank_and_only_blanks_are_lost(text: str, limit: int, room: int) -> None:
    room = min(room, limit - 2)
    cut = _cut(text, limit, room)

    assert all(0 < length(part) <= limit for part in cut)
    assert all(length(part) <= limit - room for part in cut[-1:])
    assert all(part == part.strip() for part in cut)
    assert _without_blanks("".join(cut)) == _without_blanks(text)


@given(TEXTS)
def test_what_fits_is_not_cut(text: str) -> None:
    assert _cut(text, 4096) == ([text.strip()] if text.strip() else [])


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One, two.\n\nThree, four. Five", 18, ["One, two.", "Three, four. Five"]),
        ("One two.\nThree four. Five", 22, ["One two.\nThree four.", "Five"]),
        ("One two three. Four five", 20, ["One two three.", "Four five"]),
        ("One two three four", 10, ["One two", "three four"]),
        ("0123456789", 4, ["0123", "4567", "89"]),
        # Exactly full, and a blank follows.
        ("abcd efgh", 4, ["abcd", "efgh"]),
    ],
    ids=["paragraph", "line-too-early", "sentence", "word", "no-pause", "full"],
)
def test_the_best_pause_in_the_second_half_is_taken(text: str, limit: int, expected: list[str]) -> None:
    assert _cut(text, limit) == expected


def test_characters_beyond_the_basic_plane_count_twice() -> None:
    assert length("\U0001f600a") == 3
    assert _cut("\U0001f600" * 5, 4) == ["\U0001f600" * 2, "\U0001f600" * 2, "\U0001f600"]


def test_what_looks_like_one_character_stays_together() -> None:
    accented = "e\u0301"
    assert _cut(accented * 3, 3) == [accented, accented, accented]
