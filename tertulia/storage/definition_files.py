"""Definitions from a directory of YAML files. Every problem is told with its file and line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tertulia.domain.definition import CheckedDefinition, Definition
from tertulia.domain.errors import DefinitionInvalid, NotFound
from tertulia.domain.ids import DefinitionName, is_identifier

_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class _Loaded:
    modified_ns: int
    size: int
    definition: Definition


class DefinitionFiles:
    """The applications on offer: one file each, named as the application, read again when it has changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loaded: dict[DefinitionName, _Loaded] = {}

    def names(self) -> Sequence[DefinitionName]:
        """Name the applications, in alphabetical order."""
        return sorted(DefinitionName(path.stem) for path in self._directory.glob(f"*{_SUFFIX}"))

    def get(self, name: DefinitionName) -> Definition:
        """Return an application as it stands now.

        Raises:
            NotFound: There is no file of that name.
            DefinitionInvalid: The file can't be used; every problem is named with its place.
        """
        if not is_identifier(name):
            raise NotFound("definition", name)
        path = self._directory / f"{name}{_SUFFIX}"
        try:
            return self._current(name, path)
        except FileNotFoundError as error:
            raise NotFound("definition", name) from error

    def _current(self, name: DefinitionName, path: Path) -> Definition:
        stat = path.stat()
        known = self._loaded.get(name)
        if known is None or (known.modified_ns, known.size) != (stat.st_mtime_ns, stat.st_size):
            known = _Loaded(stat.st_mtime_ns, stat.st_size, load(path))
            self._loaded[name] = known
        return known.definition


def load(path: Path) -> Definition:
    """Read one file.

    Raises:
        DefinitionInvalid: It can't be used; every problem is named with its place.
    """
    root, data = _parse(path)
    repeated = [f"{path}:{_line(key)}: {key.value!r} is given twice; remove one" for key in _repeated_keys(root)]
    if repeated:
        raise DefinitionInvalid(repeated)
    try:
        definition = CheckedDefinition.model_validate(data)
    except ValidationError as error:
        raise DefinitionInvalid([_told(path, root, problem) for problem in error.errors()]) from error
    if definition.name != path.stem:
        line = _line(_at(root, ("name",)))
        raise DefinitionInvalid([f"{path}:{line}: name: has to be {path.stem!r}, as the file is called"])
    return definition


def _parse(path: Path) -> tuple[yaml.Node, Any]:
    """Read YAML as nodes, which know their lines, and as data."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise DefinitionInvalid([f"{path}:1: a definition is a mapping of names to values"])
        return root, loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionInvalid([f"{path}:{line}: this is not YAML: {error.problem}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DefinitionInvalid([f"{path}:1: this is not YAML in UTF-8"]) from error


def _told(path: Path, root: yaml.Node, problem: ErrorDetails) -> str:
    place = ".".join(str(key) for key in problem["loc"])
    return f"{path}:{_line(_at(root, problem['loc']))}: {place}: {problem['msg']}"


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
