"""Texts with placeholders: `{name}`, or `{name|there}` with what to say where there is no name."""

import re
from collections.abc import Mapping

from pydantic import JsonValue

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(?:\|([^{}]*))?\}")


def render(template: str, variables: Mapping[str, str]) -> str:
    """Fill in the placeholders; one without a value is left empty, or replaced by its own stand-in."""
    if "{" not in template:
        return template.strip()
    return _PLACEHOLDER.sub(lambda found: variables.get(found[1]) or found[2] or "", template).strip()


def placeholders(template: str) -> list[str]:
    """Name the placeholders of a text, in order."""
    return [found[1] for found in _PLACEHOLDER.finditer(template)]


def shown(value: JsonValue) -> str:
    """Write a slot's value as people would."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(shown(item) for item in value)
        case dict():
            return shown(value.get("excerpt"))
        case float() | int():
            return f"{value:,}"
        case _:
            return value
