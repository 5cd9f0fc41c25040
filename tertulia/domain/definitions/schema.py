"""The format of definitions as a JSON Schema, with which editors complete and check them.

What each field means stands in the docstrings of the models, and nowhere else.
"""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from tertulia.domain.definitions.definition import Definition

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


def schema() -> dict[str, Any]:
    """Return the schema; every field has a description."""
    found = Definition.model_json_schema(mode="validation")
    models = {model.__name__: model for model in _models(Definition)}
    for name, described in {**found.get("$defs", {}), "Definition": found}.items():
        if name in models:
            _describe(described, models[name])
    return {"$schema": _DIALECT, **found}


def purpose(model: type[BaseModel]) -> str:
    """Return what a model is for: its docstring up to the attributes, a paragraph a line."""
    paragraphs = inspect.cleandoc(model.__doc__ or "").partition("Attributes:")[0].strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field of a model means."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        _, _, attributes = inspect.cleandoc(each.__doc__ or "").partition("Attributes:")
        found |= {name: " ".join(told.split()) for name, told in _ATTRIBUTE.findall(attributes)}
    return {name: found[name] for name in model.model_fields if name in found}


def _describe(described: dict[str, Any], model: type[BaseModel]) -> None:
    described["description"] = purpose(model)
    for name, meaning in meanings(model).items():
        described["properties"][name]["description"] = meaning


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """List a model and those that its fields are made of, each once, in the order of their mention."""
    found: dict[type[BaseModel], None] = {}
    ahead: list[Any] = [model]
    while ahead:
        each = ahead.pop(0)
        if isinstance(each, type) and issubclass(each, BaseModel):
            if each not in found:
                found[each] = None
                ahead += [field.annotation for field in each.model_fields.values()]
        else:
            ahead += [part for part in getattr(each, "__args__", ()) if part is not None]
            ahead += [getattr(part, "json_schema_input_type", None) for part in getattr(each, "__metadata__", ())]
    return list(found)


def models() -> Mapping[str, type[BaseModel]]:
    """Return the models that definitions are made of by name, the definition itself first."""
    return {model.__name__: model for model in _models(Definition)}
