"""Conditions and values in a definition, written in CEL (cel.dev) about what is known.

    age >= 18 && topic in ["invoice", "refund"]
    "phone" in answered || channel == "whatsapp"

An expression is compiled once and checked against the types of what it mentions. Evaluation is bounded by the
interpreter: CEL has no loops, and what its macros repeat is counted. Whatever can't be worked out, because something is
not known yet, say, does not hold.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Annotated, Any, NamedTuple

from cel_expr_python import cel
from pydantic import Field, JsonValue

from tertulia.domain.scoring import MUST_HAVE_FAILED, SCORE
from tertulia.domain.slots import Slot


class Kind(StrEnum):
    """What a name in an expression stands for."""

    YES_OR_NO = "yes or no"
    NUMBER = "number"
    TEXT = "text"
    DAY = "day"
    TEXTS = "list of texts"


# Long enough for any condition that somebody else should still be able to read.
Expression = Annotated[str, Field(min_length=1, max_length=500)]


# What expressions may mention in every definition, besides slots and context.
BUILT_IN = {
    "questions_left": Kind.YES_OR_NO,
    "answered": Kind.TEXTS,
    "language": Kind.TEXT,
    "channel": Kind.TEXT,
    "now": Kind.DAY,
}
RESULT_KINDS = {SCORE: Kind.NUMBER, MUST_HAVE_FAILED: Kind.YES_OR_NO}


class Wrong(NamedTuple):
    """What is wrong with an expression."""

    what: str


_TYPES = {
    Kind.YES_OR_NO: cel.Type.BOOL,
    Kind.NUMBER: cel.Type.DOUBLE,
    Kind.TEXT: cel.Type.STRING,
    Kind.DAY: cel.Type.TIMESTAMP,
    Kind.TEXTS: cel.Type.List(cel.Type.STRING),
}
# What the standard comparisons accept, and 5 beside 5.0: nobody should have to know the difference.
_COMPARED = {
    "bool": (cel.Type.BOOL, cel.Type.BOOL),
    "int64": (cel.Type.INT, cel.Type.INT),
    "double": (cel.Type.DOUBLE, cel.Type.DOUBLE),
    "double_int64": (cel.Type.DOUBLE, cel.Type.INT),
    "int64_double": (cel.Type.INT, cel.Type.DOUBLE),
    "string": (cel.Type.STRING, cel.Type.STRING),
    "timestamp": (cel.Type.TIMESTAMP, cel.Type.TIMESTAMP),
    "duration": (cel.Type.DURATION, cel.Type.DURATION),
}
_COMPARISONS = {
    "_<_": "less",
    "_<=_": "less_equals",
    "_>_": "greater",
    "_>=_": "greater_equals",
    "_==_": "equals",
    "_!=_": "not_equals",
}
_STANDARD = cel.NewEnvConfigFromYaml(
    "stdlib:\n  exclude_functions:\n" + "".join(f'    - name: "{name}"\n' for name in _COMPARISONS)
)
_FUNCTIONS = [
    cel.FunctionDecl(
        name,
        [cel.Overload(f"{meaning}_{kind}", cel.Type.BOOL, list(operands)) for kind, operands in _COMPARED.items()],
    )
    for name, meaning in _COMPARISONS.items()
]

_TEXT = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_NAME = re.compile(r"(?<![\w.])[a-z_]\w*")
_PROBLEM = re.compile(r"ERROR: <input>:\d+:(\d+): (.+)")
_UNKNOWN = re.compile(r"undeclared reference to '(\w+)'")
_UNFIT = re.compile(r"found no matching overload for '([^']+)' applied to '\(([^']*)\)'")
_WORDS = {"bool": "yes or no", "double": "number", "int": "whole number", "string": "text", "timestamp": "day"}
_COMPARED_TO_TEXT = re.compile(r"(?<![\w.])([a-z_]\w*)\s*[=!]=\s*(\"[^\"\\]*\"|'[^'\\]*')")
_ONE_OF_TEXTS = re.compile(r"(?<![\w.])([a-z_]\w*)\s+in\s+\[([^\]]*)\]")
_IN_LIST = re.compile(r"(\"[^\"\\]*\"|'[^'\\]*')\s+in\s+([a-z_]\w*)")


def kind_of(slot: Slot) -> Kind:
    """Tell what a slot's value is to an expression. Of a document that is its beginning."""
    match slot.type:
        case "boolean":
            return Kind.YES_OR_NO
        case "number" | "money":
            return Kind.NUMBER
        case "date":
            return Kind.DAY
        case "multi_choice":
            return Kind.TEXTS
        case _:
            return Kind.TEXT


@lru_cache(maxsize=4096)
def names(expression: str) -> frozenset[str]:
    """Name everything that an expression may mention, functions among it."""
    return frozenset(_NAME.findall(_TEXT.sub("", expression)))


def literals(expression: str) -> list[tuple[str, str]]:
    """List the texts that names are compared to: `topic == "x"`, `topic in ["x"]`, `"x" in topics`."""
    compared = [(found[1], found[2]) for found in _COMPARED_TO_TEXT.finditer(expression)]
    listed = [(found[1], text) for found in _ONE_OF_TEXTS.finditer(expression) for text in _TEXT.findall(found[2])]
    contained = [(found[2], found[1]) for found in _IN_LIST.finditer(expression)]
    return [(name, text[1:-1]) for name, text in (*compared, *listed, *contained)]


class Vocabulary:
    """What expressions of a definition may mention.

    Attributes:
        kinds: By name.
    """

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self.kinds = kinds

    def check(self, expression: str, wanted: Kind = Kind.YES_OR_NO) -> Wrong | None:
        """Check an expression, and that it yields what is wanted.

        Returns:
            What is wrong with it; None where nothing is.
        """
        compiled = _compiled(self, expression)
        if isinstance(compiled, Wrong):
            return compiled
        given = compiled.return_type()
        if given != _TYPES[wanted] and not (wanted is Kind.NUMBER and given == cel.Type.INT):
            given_name = given.name().lower()
            return Wrong(f"this yields {_WORDS.get(given_name, given_name)}, where {wanted} is needed")
        return None

    def holds(self, expression: str, known: Mapping[str, JsonValue | datetime]) -> bool:
        """Tell whether a condition holds for what is known. Never raises."""
        return self.value(expression, known) is True

    def value(self, expression: str, known: Mapping[str, JsonValue | datetime]) -> JsonValue:
        """Work an expression out; None where that is not possible. Never raises.

        Args:
            known: Values of what can be mentioned, as slots keep them.
        """
        compiled = _compiled(self, expression)
        if isinstance(compiled, Wrong):
            return None
        kinds = self.kinds
        mentioned = [name for name in names(expression) if name in kinds and known.get(name) is not None]
        try:
            found = compiled.eval(data={name: _given(kinds[name], known[name]) for name in mentioned})
            return None if found.type() == cel.Type.ERROR else _plain(found.plain_value())
        except (RuntimeError, TypeError, ValueError, OverflowError):
            return None  # The interpreter's bounds were reached, or a value is not of its kind.

    # Compiling in an environment of its own would take twenty times as long for each expression.
    @cached_property
    def environment(self) -> cel.Env:
        """The compiler, with everything declared."""
        variables = {name: _TYPES[kind] for name, kind in self.kinds.items()}
        return cel.NewEnv(config=_STANDARD, variables=variables, functions=_FUNCTIONS)


def vocabulary(kinds: Mapping[str, Kind]) -> Vocabulary:
    """Return the vocabulary of these names, the same one for all definitions that have them."""
    return _vocabulary(frozenset(kinds.items()))


@lru_cache(maxsize=256)
def _vocabulary(kinds: frozenset[tuple[str, Kind]]) -> Vocabulary:
    return Vocabulary(dict(sorted(kinds)))


def _plain(found: Any) -> JsonValue:
    if isinstance(found, datetime):
        return found.astimezone(UTC).date().isoformat()
    return found if isinstance(found, bool | int | float | str | list) else None


def _given(kind: Kind, known: JsonValue | datetime) -> Any:
    match known:
        case str() if kind is Kind.DAY:
            return datetime.combine(date.fromisoformat(known), datetime.min.time(), UTC)
        case dict():
            return str(known.get("excerpt", ""))
        case _:
            return known


@lru_cache(maxsize=4096)
def _compiled(words: Vocabulary, expression: str) -> "cel.Expression | Wrong":
    try:
        return words.environment.compile(expression)
    except RuntimeError as error:
        return Wrong(_told(str(error)))


def _told(message: str) -> str:
    problems = [f"{_plainly(found[2])} (at character {found[1]})" for found in _PROBLEM.finditer(message)]
    return "; ".join(problems) or f"this is not an expression: {message.partition('[')[0].strip()}"


def _plainly(problem: str) -> str:
    """Say what the compiler says in words that a definition's author knows."""
    if found := _UNKNOWN.match(problem):
        return f"nothing is called {found[1]}"
    if found := _UNFIT.match(problem):
        operands = [_WORDS.get(operand, operand) for operand in found[2].split(", ")]
        hint = "; write 1.0 rather than 1" if operands == ["number", "whole number"] else ""
        return f"`{found[1].strip('@_')}` does not go with {' and '.join(operands)}{hint}"
    return problem.partition(" expecting {")[0]
