"""Set phrases that mean the same whatever was asked. English; other languages are left to a provider."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Short answers are read up to here; in a longer text nothing is certain.
SHORT_ANSWER_CHARS = 600

_INVISIBLE = re.compile(
    r"[^\S\n]{2,}|[^\S\n ]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_GREETING = re.compile(
    r"(?:hi|hello|hey|hiya|yo|howdy|greetings|good (?:morning|afternoon|evening|day))(?: there| all| team| everyone)?"
    r"|(?:many )?thanks?(?: you)?(?: (?:so|very) much)?|ok(?:ay)?|k|great|cool|nice|perfect|got it|al(?:l )?right"
    r"|start|let'?s (?:go|start|begin)|(?:i'?m )?ready"
)
_FILLER = re.compile(r"hmm+|um+|uh+|lol|nothing|none|test|sure|fine|[?.!]*")
_LEAD = r"(?:(?:sorry|no|well|hmm|thanks|thank you|actually|but|honestly)[, ]+)*"
_TELL = (
    r"(?:say|tell|answer|share|disclose|give|provide|discuss|talk|comment|specify|mention|reveal"
    r"|saying|telling|answering|sharing|disclosing|giving|providing|discussing)"
)
_DECLINE = re.compile(
    _LEAD + r"(?:"
    r"i(?:'d| would|'ll| will)?(?: really| much)? "
    r"(?:rather|prefer|like|want|choose)(?: not| to not)(?: to)?"
    rf"(?: (?:{_TELL}|that|this|it|you|my|your|now|about)\b[^.?!]{{0,60}})?"
    r"|i (?:don'?t|do not|wouldn'?t|would not|won'?t|will not|can'?t|cannot|refuse to) "
    rf"(?:(?:want to|wish to|like to|care to|feel comfortable|feel like) )?{_TELL}\b[^.?!]{{0,60}}"
    rf"|(?:i'?d )?(?:prefer|rather) not(?: to)?(?: {_TELL}\b[^.?!]{{0,40}})?"
    r"|no comment|(?:that'?s |it'?s )?(?:none of your business|not your business|private|confidential)"
    r")"
)
_SKIP = re.compile(
    r"(?:(?:please|let'?s|can (?:we|i)|i(?:'d| would)? (?:like|want) to|i'?ll|no)[, ]+)*"
    r"(?:skip|pass|next(?: one| question)?|move on|not now|(?:maybe )?later|n/?a|not applicable"
    r"|leave (?:it|that|this)(?: out)?)"
    r"(?: (?:this|that|it|the question|one|please|for now|on|to the next(?: one| question)?))*"
)
_UNKNOWN = re.compile(
    _LEAD + r"(?:(?:i )?(?:don'?t|do not) (?:really |actually )?know(?: yet| that)?|no idea|no clue|idk|dunno|unsure"
    r"|(?:i'?m )?not sure(?: yet)?|it depends|depends|maybe|perhaps|hard to say|i can'?t say|unknown|tbd)"
)
_HELP = re.compile(
    r"(?:please )?help(?: me)?(?: please)?|what can i (?:do|say|answer)"
    r"|what (?:do|should) i (?:do|say|write|answer|put)(?: here)?|what do you mean(?: by that)?"
    r"|i (?:don'?t|do not) understand(?: the question| that| this)?|why(?: do you (?:need|ask|want)\b[^?]{0,60})?"
    r"|why are you asking\b[^?]{0,40}|what for"
)
_CANCEL = re.compile(
    r"(?:please )?(?:(?:i (?:want|would like|need) to|i'd like to|let'?s|can (?:i|we)) )?"
    r"(?:cancel|stop|quit|exit|abort|end)"
    r"(?: (?:it|this|that|everything|here|now|the (?:conversation|chat|application|request)))?(?: please)?"
)
_START_OVER = re.compile(
    r"(?:please )?(?:(?:i (?:want|would like|need) to|i'd like to|let'?s|can (?:i|we|you)) )?"
    r"(?:(?:start|begin) (?:(?:all )?over|again|anew|afresh|from scratch|from the (?:start|beginning))|restart|reset)"
    r"(?: (?:it|this|everything|the (?:conversation|chat|application|request)))?(?: please)?"
)
_INTERRUPTIONS = {"cancel": _CANCEL, "start_over": _START_OVER}
_SUBJECT = r"(?:you|we|they|i|it|he|she|this|that|there|the|your|anyone|people)"
_INTERROGATIVE = re.compile(
    r"(?:(?:and|but|so|ok|okay|well|hi|hello|hey|sorry|thanks|also|wait|by the way|btw|quick question)[,:!. -]+)*"
    r"(?:(?:what|who|when|where|why|how)(?:'s|s)?|which|whose|whom"
    rf"|(?:do|does|did|can|could|will|would|are|have|has|should|shall|may|might) {_SUBJECT}"
    r"|(?:is|was) (?:it|there|this|that|the|your|he|she|remote|relocation|anyone))\b"
)
_SENTENCE_END = re.compile(r"(?<=[.!?\n])\s+")
_WORD = re.compile(r"[\w']+")
_AROUND = " \t\n.,;:!)("


def words(text: str) -> tuple[str, ...]:
    """Cut a list of words out of one string, so that long lists stay readable."""
    return tuple(text.split())


def clean(text: str) -> str:
    """Return the text in Unicode's normal form, without invisible characters, and without space around it."""
    return _INVISIBLE.sub(_visible, unicodedata.normalize("NFC", text)).strip()


def _visible(found: re.Match[str]) -> str:
    return " " if found[0].isspace() else ""


# One message is looked at from many sides.
@lru_cache(maxsize=16)
def plain(text: str) -> str:
    """Return the text on one line, in lower case, with straight apostrophes, and without punctuation around it."""
    return " ".join(text.lower().replace("\u2019", "'").replace("`", "'").split()).strip(_AROUND)


def is_greeting(text: str) -> bool:
    """Tell whether a text only greets, thanks or agrees to go on."""
    return _is_all_of(_GREETING, text)


def is_filler(text: str) -> bool:
    """Tell whether a text says nothing at all."""
    return is_greeting(text) or _is_all_of(_FILLER, text)


def is_decline(text: str) -> bool:
    """Tell whether somebody would rather not answer."""
    return _is_all_of(_DECLINE, text)


def is_skip(text: str) -> bool:
    """Tell whether somebody asks to leave the question out."""
    return _is_all_of(_SKIP, text)


def is_unknown(text: str) -> bool:
    """Tell whether somebody doesn't know the answer."""
    return _is_all_of(_UNKNOWN, text)


def is_help(text: str) -> bool:
    """Tell whether somebody asks what to do, or what the question is for."""
    return _is_all_of(_HELP, text.rstrip("?! ."))


def asks_for(interruption: str, text: str, also: Sequence[str] = ()) -> bool:
    """Tell whether somebody asks to cancel, or to start over.

    Args:
        interruption: `cancel` or `start_over`.
        also: What else people say for it.
    """
    asked = text.rstrip("?! .")
    return _is_all_of(_INTERRUPTIONS[interruption], asked) or plain(asked) in {plain(phrase) for phrase in also}


def mentions(phrases: Sequence[str], text: str) -> bool:
    """Tell whether a text has one of the phrases in it, word by word."""
    said = _words_of(text)
    return any(f" {_words_of(phrase)} " in f" {said} " for phrase in phrases)


def _words_of(text: str) -> str:
    return " ".join(_WORD.findall(plain(text[:SHORT_ANSWER_CHARS])))


def _is_all_of(pattern: re.Pattern[str], text: str) -> bool:
    return len(text) <= SHORT_ANSWER_CHARS and pattern.fullmatch(plain(text)) is not None


def begins_as_question(text: str) -> bool:
    """Tell whether a text begins like a question."""
    return _INTERROGATIVE.match(plain(text[:SHORT_ANSWER_CHARS])) is not None


def is_question(text: str) -> bool:
    """Tell whether a text is certainly a question: it begins like one and ends like one."""
    return text.endswith("?") and begins_as_question(text)


def sentences(text: str) -> list[str]:
    """Cut a text into its sentences."""
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence]
