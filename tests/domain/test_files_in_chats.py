"""Files that come in a conversation, by reference."""

from typing import Any

import pytest

from tertulia.domain import machine
from tertulia.domain.conversation import Attachment
from tertulia.domain.events import PersonSaid, Resumed
from tertulia.domain.recruiting.media_types import PDF
from tertulia.domain.slots import document_of_file
from tests.domain.conversations import NOW, Conversation
from tests.domain.test_recruiting import recruiting, up_to

FILE = document_of_file(PDF, 20_480)
PASTED = """\
Ada Lovelace
Mathematician, London. ada@example.org, +44 20 7946 0958

Experience
1842 - 1843 Notes on the Analytical Engine; 12 years of experience.
"""


def sends(conversation: Conversation, *, media_type: str = PDF, **facts: Any) -> Conversation:
    file = Attachment(media_type=media_type, size_bytes=20_480, facts=facts)
    return conversation.happens(PersonSaid(text="[a file]", attachment=file))


def test_a_file_answers_the_question_for_a_document() -> None:
    conversation = sends(up_to("resume"))

    assert conversation.state.slots["resume"] == FILE
    assert conversation.said == [
        "Thank you, I have received a PDF file of 20 KB.",
        "Are you allowed to work in the European Union?",
    ]


def test_what_it_says_is_told_and_not_asked_and_the_question_for_it_is_not_put_later() -> None:
    conversation = sends(recruiting(), name="Ada Lovelace", email="ada@example.org", shoe_size=44)

    assert conversation.state.slots == {"resume": FILE, "name": "Ada Lovelace", "email": "ada@example.org"}
    assert conversation.said == [
        "Thank you, I have received a PDF file of 20 KB (name: Ada Lovelace, email: ada@example.org).",
        "And what is your phone number, with the country code?",
    ]
    assert "resume" not in conversation.still_to_ask


def test_what_the_person_has_said_goes_before_the_file() -> None:
    conversation = sends(up_to("phone"), name="Somebody Else", phone="nonsense")

    assert conversation.state.slots["name"] == "Ana López"
    assert (conversation.state.asking, "phone" in conversation.state.slots) == ("phone", False)


def test_a_file_that_comes_after_it_was_left_out_is_taken_all_the_same() -> None:
    conversation = sends(up_to("resume").hears("skip"))

    assert conversation.state.known["resume"] == FILE
    assert conversation.state.skipped == ()
    assert conversation.state.asking == "work_authorisation"


@pytest.mark.parametrize("value", [{}, {"media_type": "image/png", "size_bytes": 1}, {"media_type": PDF}])
def test_what_describes_no_file_that_is_read_here_is_no_document(value: dict[str, object]) -> None:
    assert "resume" not in Conversation(up_to("name").definition, {"resume": value}).state.slots


def test_a_resume_that_is_pasted_tells_what_a_file_would_tell() -> None:
    conversation = recruiting().hears("I have a CV", PASTED)

    excerpt = " ".join(PASTED.split())
    assert conversation.state.slots["resume"] == {"characters": len(PASTED) - 1, "words": 22, "excerpt": excerpt}
    assert conversation.state.known.keys() == {"resume", "name", "email", "phone", "experience_years"}
    facts = "email: ada@example.org, experience: 12, name: Ada Lovelace, phone: +442079460958"
    assert conversation.said == [
        f"Thank you, I have received résumé ({facts}).",
        "Which position are you applying for?",
    ]


def test_a_resume_that_is_pasted_does_not_go_before_what_the_person_has_said() -> None:
    conversation = up_to("resume").hears(PASTED)

    assert conversation.state.slots["name"] == "Ana López"
    assert conversation.said == ["Are you allowed to work in the European Union?"]


def test_a_document_that_is_no_resume_is_not_read() -> None:
    reads_nothing = recruiting().definition
    slots = reads_nothing.slots | {"resume": reads_nothing.slots["resume"].model_copy(update={"reads": None})}
    conversation = Conversation(reads_nothing.model_copy(update={"slots": slots})).hears("I have a CV", PASTED)

    assert conversation.state.known.keys() == {"resume", "email", "phone"}


def test_a_file_is_kept_without_a_word_and_its_question_is_not_put_when_the_bot_goes_on() -> None:
    asked = up_to("resume")
    file = Attachment(media_type=PDF, size_bytes=20_480, facts={"name": "Somebody Else"})

    kept = machine.keep(asked.definition, asked.state, file, NOW)
    resumed = machine.advance(asked.definition, kept, Resumed(), NOW)

    assert kept.slots == asked.state.slots | {"resume": FILE}
    assert resumed.state.asking == "work_authorisation"
