"""Answers on offer, for where a channel has no buttons for them."""

from collections.abc import Sequence


def numbered(text: str, choices: Sequence[str]) -> str:
    """Append the choices as a numbered list; a number is understood as an answer."""
    lines = [f"{number}. {choice}" for number, choice in enumerate(choices, start=1)]
    return "\n".join([text, "", *lines])
