"""The format of definitions as a page to read."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from tertulia.domain.definitions.lifecycle import LIFE_CYCLE
from tertulia.domain.definitions.schema import meanings, models, purpose, schema
from tertulia.domain.skills import SKILLS
from tertulia.domain.slots.kinds import EverySlot

_INTRODUCTION = """\
# Definitions

An application is a YAML file in `definitions/`, named as the application. This page is written by `tertulia
definitions schema --page`; `definitions/schema.json` is the same for editors. A file that begins with

    # yaml-language-server: $schema=schema.json

is completed and checked while it is written. `tertulia definitions check` finds what a schema can't: states that
nothing leads to, questions that nobody asks, conditions that can't be worked out; `tertulia definitions diagram
recruiting` draws one, and `tertulia definitions test` rehearses the conversations in `definitions/tests/`. A file that
changes counts for the sessions that are opened from then on.

## A first application

`definitions/reception.yaml`:

```yaml
name: reception
version: "1"
title: Reception
initial: asking
slots:
  name: {type: name, ask: "What is your name?"}
  topic: {type: choice, ask: "What is it about, {name}?", choices: [delivery, appointment]}
states:
  asking: {ask: [name, topic], next: over}
  over: {say: "Thank you, {name}. Somebody will be with you.", ends: true}
```

`definitions/tests/reception.yaml`:

```yaml
conversations:
  - it: asks two questions
    steps:
      - {reply: "What is your name?"}
      - {said: Ada Lovelace, reply: "What is it about, Ada Lovelace?", asks: topic}
      - {said: an appointment, slots: {topic: appointment}, ends: finished}
```

Then `tertulia definitions check reception`, `tertulia definitions test reception`, and, while `make run` runs,
`tertulia chat --definition reception`.

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

## The standard life cycle

Operators move a session along `transitions`. A state with one of these names may be followed by those beside it, as far
as the definition has them, and by nothing else, unless `transitions` says otherwise; `error` can be reached from
anywhere, and leads back.

"""

_SKILLS = """\
## The skills that there are

A skill that needs a state has to be used with `to`. Its words can be changed in `skill_words`, under their names.

| skill | does | needs a state | reads | fills in | words |
|---|---|---|---|---|---|"""


def reference() -> str:
    """Write the page, in Markdown."""
    described = schema()
    parts = {"Definition": described, **described["$defs"]}
    sections = (line for name in models() for line in _section(models()[name], parts[name]))
    every_slot = _section(EverySlot, EverySlot.model_json_schema())
    return "\n".join([_INTRODUCTION + _life_cycle(), *sections, *every_slot, _SKILLS, *_skills()])


def _life_cycle() -> str:
    return "".join(f"- `{state}`: {_names(after) or 'nothing'}\n" for state, after in LIFE_CYCLE.items())


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _skills() -> Iterator[str]:
    for name, skill in SKILLS.items():
        names = " | ".join(map(_names, (skill.needs, skill.gives, skill.words)))
        yield f"| `{name}` | {skill.summary} | {'yes' if skill.is_led else ''} | {names} |"


def _section(model: type[BaseModel], described: dict[str, Any]) -> Iterator[str]:
    yield f"## {model.__name__}\n\n{purpose(model)}\n"
    fields = described["properties"]
    if issubclass(model, EverySlot) and model is not EverySlot:
        fields = {field: each for field, each in fields.items() if field not in EverySlot.model_fields}
        yield "Besides the fields of [EverySlot](#everyslot):\n"
    if fields:
        yield "| field | is | otherwise | means |\n|---|---|---|---|"
    told = meanings(model)
    for field, each in fields.items():
        required = field in described.get("required", ())
        yield f"| `{field}` | {_type(each)} | {'needed' if required else _default(each)} | {told.get(field, '')} |"
    yield ""


def _type(described: dict[str, Any]) -> str:
    if "$ref" in described:
        return _link(described["$ref"])
    if "const" in described:
        return f"`{described['const']}`"
    if "enum" in described:
        return _names(described["enum"])
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
