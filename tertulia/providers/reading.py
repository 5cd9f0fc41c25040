"""Reads what a person wrote as a value of a JSON schema, by rules: numbers, yes and no, choices, addresses, dates."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tertulia.providers.untrusted import items, mapping, number, string

_YES = re.compile(r"\b(?:yes|yeah|yep|sure|of course|certainly|absolutely|correct|true|okay|ok)\b", re.IGNORECASE)
_NO = re.compile(r"\b(?:no|nope|not|never|false|none)\b|n't\b", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"\?$|^$|^(?:skip|pass|n/?a|no idea)\b|\b(?:don't|do not) know\b|\b(?:rather|prefer) not\b", re.IGNORECASE
)
_NAME_GIVEN = re.compile(r"^.{0,20}?\b(?:my name is|call me)\s+", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_NUMBER_WORDS = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8"}
_NUMBER_WORDS |= {"zero": "0", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12"}
_FORMATS = {
    "email": re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,190}\.[^\s@<>,;.]{2,63}"),
    "date": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "uri": re.compile(r"https?://[^\s<>]+"),
}

Schema = Mapping[str, Any]


def read(schema: Schema, said: str) -> Any:
    """Find a value that fits the schema in what a person wrote.

    Returns:
        What was understood; where nothing was: null if the schema allows it, else some value that fits.
    """
    return _read(schema, said.strip(), mapping(schema.get("$defs")))


def _read(schema: Schema, said: str, definitions: Schema) -> Any:
    options = list(_options(schema, definitions))
    understood = (_understand(option, said, definitions) for option in options)
    value = next((value for value in understood if value is not None), None)
    if value is not None or any(_allows_null(option) for option in options):
        return value
    return _some_value(options[0])


def _options(schema: Schema, definitions: Schema) -> Iterator[Schema]:
    """Unfold references, alternatives and lists of types, so that each option has one type."""
    kinds = schema.get("type")
    alternatives = items(schema.get("anyOf")) or items(schema.get("oneOf"))
    if "$ref" in schema:
        yield from _options(mapping(definitions.get(string(schema["$ref"]).rpartition("/")[2])), definitions)
    elif alternatives:
        for alternative in alternatives:
            yield from _options(mapping(alternative), definitions)
    elif isinstance(kinds, list):
        yield from ({**schema, "type": kind} for kind in kinds)
    else:
        yield schema


def _understand(option: Schema, said: str, definitions: Schema) -> Any:
    if option.get("type") == "object":
        properties = mapping(option.get("properties"))
        return {name: _read(mapping(part), said, definitions) for name, part in properties.items()}
    if _NO_ANSWER.search(said):
        return None
    if "enum" in option or "const" in option:
        return _choice(items(option.get("enum")) or [option.get("const")], said)
    match option.get("type"):
        case "boolean":
            return _yes_or_no(said)
        case "integer" | "number" as kind:
            return _amount(option, said, whole=kind == "integer")
        case "array":
            return _list(mapping(option.get("items")), said, definitions)
        case "null":
            return None
        case _:
            return _words(option, said)


def _choice(choices: Sequence[Any], said: str) -> Any:
    """Find the choice that is mentioned; of several the longest, which is the most specific."""
    mentioned = [choice for choice in choices if choice is not None and _mentions(said, str(choice))]
    return max(mentioned, key=lambda choice: len(str(choice)), default=None)


def _mentions(said: str, choice: str) -> bool:
    words = r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", choice)))
    return re.search(rf"(?<!\w){words}(?!\w)", said, re.IGNORECASE) is not None


def _yes_or_no(said: str) -> bool | None:
    no = _NO.search(said)
    yes = _YES.search(said)
    if no and yes:
        return yes.start() < no.start()
    return None if not yes and not no else yes is not None


def _amount(option: Schema, said: str, *, whole: bool) -> int | float | None:
    text = " ".join(_NUMBER_WORDS.get(word.strip(".,!").lower(), word) for word in said.split())
    for found in _NUMBER.findall(re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)):
        value = float(found)
        if _within(option, value) and (not whole or value.is_integer()):
            return int(value) if value.is_integer() else value
    return None


def _within(option: Schema, value: float) -> bool:
    lowest, highest = number(option.get("minimum")), number(option.get("maximum"))
    return (lowest is None or value >= lowest) and (highest is None or value <= highest)


def _list(item: Schema, said: str, definitions: Schema) -> list[Any] | None:
    parts = [part.strip() for part in re.split(r",|;|\n|\band\b", said) if part.strip()]
    values = [
        value
        for part in parts
        for option in _options(item, definitions)
        if (value := _understand(option, part, definitions)) is not None
    ]
    return values or None


def _words(option: Schema, said: str) -> str | None:
    pattern = _FORMATS.get(string(option.get("format")))
    if pattern is None and isinstance(option.get("pattern"), str):
        pattern = re.compile(option["pattern"])
    if pattern is not None:
        found = pattern.search(said)
        return found[0] if found else None
    longest = number(option.get("maxLength"))
    return _NAME_GIVEN.sub("", said).rstrip(" .!")[: int(longest) if longest is not None else None] or None


def _allows_null(option: Schema) -> bool:
    return option.get("type") == "null" or None in items(option.get("enum"))


def _some_value(option: Schema) -> Any:
    if "const" in option:
        return option["const"]
    if choices := items(option.get("enum")):
        return choices[0]
    match option.get("type"):
        case "boolean":
            return False
        case "integer" | "number":
            return math.ceil(number(option.get("minimum")) or 0)
        case "array":
            return []
        case _:
            return "unknown"
