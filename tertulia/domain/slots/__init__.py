"""Slots: what an application wants to know, and how an answer is read.

understand(slot, text, now)   what a person wrote, by rules
accept(slot, value, now)      what a provider read out of it
json_schema(slot)             what a provider is asked to return
"""

from tertulia.domain.slots.kinds import Choice, Criterion, Slot, choices_of, label_of
from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason, Understood
from tertulia.domain.slots.texts import document_of_file
from tertulia.domain.slots.understanding import accept, json_schema, read_json, understand, wanted

__all__ = [
    "Choice",
    "Criterion",
    "NotUnderstood",
    "Outcome",
    "Reason",
    "Slot",
    "Understood",
    "accept",
    "choices_of",
    "document_of_file",
    "json_schema",
    "label_of",
    "read_json",
    "understand",
    "wanted",
]
