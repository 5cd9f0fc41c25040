"""Answers what people say to be friendly, and brings them back to the matter."""

from tertulia.domain.skills.skill import Situation, Skill, Tell, requests

_YOU_MAY_BE = r"(?:a |an |really |actually )*(?:real|human|person|robot|bot|machine|computer|ai)(?: person| being)?"

_TOPICS = {
    "wellbeing": requests(
        r"how (?:are|r) (?:you|u|things)(?: doing| today| going)*",
        r"how(?:'s| is) it going",
        r"what'?s up",
        r"all well",
    ),
    "identity": requests(
        r"(?:who|what) are you",
        rf"are you {_YOU_MAY_BE}",
        rf"am i (?:talking|speaking|chatting|writing) (?:to|with) {_YOU_MAY_BE}",
        r"what(?:'s| is) your name",
    ),
    "pleasure": requests(r"(?:it'?s )?(?:nice|pleased) to meet you(?: too)?", r"you are (?:very )?(?:kind|nice)"),
    "joke": requests(r"tell me a joke", r"(?:do you )?know (?:a|any) jokes?"),
}


def _topic(text: str) -> str | None:
    return next((topic for topic, recognises in _TOPICS.items() if recognises(text) is not None), None)


def _does(situation: Situation) -> Tell:
    return Tell(_topic(situation.text) or "pleasure")


SKILL = Skill(
    summary="answers small talk: how are you, who are you, nice to meet you",
    recognises=lambda text: None if _topic(text) is None else {},
    does=_does,
    words={
        "wellbeing": "I'm well, thank you for asking.",
        "identity": "I'm a computer program, and I'm here to help you with this conversation.",
        "pleasure": "That's kind of you, thank you.",
        "joke": "I'm better at questions than at jokes, I'm afraid.",
    },
)
