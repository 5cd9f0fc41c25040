"""The format of definitions as a page to read."""

from collections.abc import Iterator
from typing import Any

from tertulia.domain.definitions.schema import meanings, models, purpose, schema

_INTRODUCTION = """\
# Definitions

An application is a YAML file in `definitions/`, named as the application. This page is written by `tertulia
definitions schema --page`; `definitions/schema.json` is the same for editors. A file that begins with

    # yaml-language-server: $schema=schema.json

is completed and checked while it is written. `tertulia definitions check` finds what a schema can't: states that
nothing leads to, questions that nobody asks, conditions that can't be worked out; `tertulia definitions diagram
recruiting` draws one, and `tertulia definitions test` rehearses the conversations in `definitions/tests/`.

## Texts

A `{name}` in a text is replaced by the value of the slot or of the context; `{name|there}` says what to put where
there is none. Every text may mention `{language}` and `{channel}`. Texts about a slot may also mention `{label}`,
`{example}` and `{choices}`, and those said while a question is open `{question}`.

## Conditions

Conditions and values are written in [CEL](https://cel.dev): `age >= 18 && topic in ["invoice", "refund"]`, `"phone"
in answered`, `start_date - now > duration("720h")`. They are checked against the types of the slots: numbers and
money are numbers, yes or no is a bool, a date is a timestamp, several choices are a list, everything else is a text.
A condition that mentions something that is not known does not hold.

## What happens to a message

1. Where the person has been asked whether an interruption is meant, a yes or a no is taken.
2. The words of an interruption are taken, unless the open question offers them as a choice.
3. A correction ("actually my e-mail is …") changes an earlier answer. What depends on it (`depends_on`) is asked
   anew, and nothing else; where a condition on the way now leads elsewhere, the conversation goes there.
4. "Help" is answered, and the open question put again.
5. Everything that the message answers is taken: the open question, addresses and numbers that were not asked for yet,
   and what is said by its label ("4 weeks, and my salary is 50,000 euros").
6. What does not answer the open question is shown to the skills on offer, those of the state first: the first one that
   recognises it does its part, and the open question is put again. Where the question takes any words for an answer
   (a text, a name, a place, a document), skills go first.
7. A question gets its answer from `digressions`.
8. Where two skills or more may be chosen by a provider (`use_provider`), one is asked which of them is meant.
9. A question gets its answer from a provider, and the open question is put again.
10. What is not understood is met with the slot's `reprompts`: the first, the second, the third; after that an optional
   slot is left out, and one with `give_up_to` leads there.
"""


def reference() -> str:
    """Write the page, in Markdown."""
    described = schema()
    parts = {"Definition": described, **described["$defs"]}
    return "\n".join([_INTRODUCTION, *(line for name in models() for line in _section(name, parts[name]))])


def _section(name: str, described: dict[str, Any]) -> Iterator[str]:
    model = models()[name]
    yield f"## {name}\n\n{purpose(model)}\n"
    if model.model_fields:
        yield "| field | is | otherwise | means |\n|---|---|---|---|"
    told = meanings(model)
    for field, each in described["properties"].items():
        required = field in described.get("required", ())
        yield f"| `{field}` | {_type(each)} | {'needed' if required else _default(each)} | {told.get(field, '')} |"
    yield ""


def _type(described: dict[str, Any]) -> str:
    if "$ref" in described:
        return _link(described["$ref"])
    if "const" in described:
        return f"`{described['const']}`"
    if "enum" in described:
        return ", ".join(f"`{each}`" for each in described["enum"])
    if "oneOf" in described or "anyOf" in described:
        options = [_type(each) for each in (described.get("oneOf") or described["anyOf"])]
        return " or ".join(dict.fromkeys(each for each in options if each != "null"))
    match described.get("type"):
        case "array":
            return f"list of {_type(described.get('items', {}))}"
        case "object":
            return f"mapping to {_type(described.get('additionalProperties', {}))}"
        case "string":
            return "text"
        case "boolean":
            return "true or false"
        case "integer":
            return "whole number"
        case other:
            return str(other or "anything")


def _link(ref: str) -> str:
    name = ref.rpartition("/")[2]
    return f"[{name}](#{name.lower()})" if name in models() else _type(schema()["$defs"][name])


def _default(described: dict[str, Any]) -> str:
    match described.get("default"):
        case None | "" | [] | {} | False:
            return ""
        case str() | int() | float() as simple:
            return f"`{simple}`"
        case _:
            return "see there"
