"""YAML files whose every part knows its line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tertulia.domain.errors import DefinitionInvalid

# The same language read by libyaml, where PyYAML has it on board: eight times as fast.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlFile:
    """One mapping in a file.

    Attributes:
        data: What it holds.
    """

    def __init__(self, path: Path, root: yaml.Node, data: Any) -> None:
        self.data = data
        self._path = path
        self._root = root

    def place(self, path: Sequence[str | int] = ()) -> str:
        """Return the file and the line of what a path leads to, or of the last part of it that exists."""
        return f"{self._path}:{_line(_at(self._root, path))}"

    def told(self, error: ValidationError) -> DefinitionInvalid:
        """Return a model's error with the place of each problem."""
        return DefinitionInvalid(
            [
                f"{self.place(problem['loc'])}: {'.'.join(str(key) for key in problem['loc'])}: {problem['msg']}"
                for problem in error.errors()
            ]
        )


def read_yaml(path: Path) -> YamlFile:
    """Read a file that holds one mapping.

    Raises:
        DefinitionInvalid: It is not YAML, or not a mapping, or gives something twice; every problem has its place.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise DefinitionInvalid([f"{path}:1: this has to be a mapping of names to values"])
        data = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionInvalid([f"{path}:{line}: this is not YAML: {error.problem}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DefinitionInvalid([f"{path}:1: this is not YAML in UTF-8"]) from error
    repeated = [f"{path}:{_line(key)}: {key.value!r} is given twice; remove one" for key in _repeated_keys(root)]
    if repeated:
        raise DefinitionInvalid(repeated)
    return YamlFile(path, root, data)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _at(root: yaml.Node, path: Sequence[str | int]) -> yaml.Node:
    """Find the node that a path leads to, or the last one on the way that exists.

    A path may name what is not written in the file, such as the kind of a slot; that is passed over.
    """
    node = root
    for key in path:
        node = _child(node, key) or node
    return node


def _child(node: yaml.Node, key: str | int) -> yaml.Node | None:
    match node:
        case yaml.MappingNode():
            return next((value for name, value in node.value if name.value == str(key)), None)
        case yaml.SequenceNode() if isinstance(key, int) and key < len(node.value):
            child: yaml.Node = node.value[key]
            return child
        case _:
            return None


def _repeated_keys(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    visited, ahead = set[int](), [root]
    while ahead:
        node = ahead.pop()
        if id(node) in visited:
            continue  # An alias leads to a node that has been here before.
        visited.add(id(node))
        match node:
            case yaml.MappingNode():
                yield from _repeated([key for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
                ahead += [value for _, value in node.value]
            case yaml.SequenceNode():
                ahead += node.value


def _repeated(keys: Sequence[yaml.ScalarNode]) -> Iterator[yaml.ScalarNode]:
    seen = set[str]()
    for key in keys:
        if key.value in seen:
            yield key
        seen.add(key.value)
