"""Files that come in a conversation, by reference."""

from typing import Any

import pytest

from tertulia.domain.conversation import Attachment
from tertulia.domain.events import PersonSaid
from tertulia.domain.recruiting.media_types import PDF
from tertulia.domain.slots import document_of_file
from tests.domain.conversations import Conversation
from tests.domain.test_recruiting import recruiting, up_to

FILE = document_of_file(PDF, 20_480)


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
