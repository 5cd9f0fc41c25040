"""Definitions from a directory of YAML files. Every problem is told with its file and line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tertulia.domain.definition import Definition
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
        path = self._directory / f"{name}{_SUFFIX}"
        try:
            stat = path.stat() if is_identifier(name) else None
        except OSError:
            stat = None
        if stat is None:
            raise NotFound("definition", name)
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
    root = _compose(path)
    if repeated := [
        f"{path}:{_line(node)}: {node.value!r} is given twice; remove one" for node in _repeated_keys(root)
    ]:
        raise DefinitionInvalid(repeated)
    try:
        definition = Definition.model_validate(yaml.SafeLoader("").construct_document(root))
    except ValidationError as error:
        raise DefinitionInvalid([_told(path, root, problem) for problem in error.errors()]) from error
    if definition.name != path.stem:
        place = _line(_at(root, ("name",)))
        raise DefinitionInvalid([f"{path}:{place}: the name has to be {path.stem!r}, as the file is called"])
    return definition


def _compose(path: Path) -> yaml.Node:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionInvalid([f"{path}:{line}: this is not YAML: {error.problem}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DefinitionInvalid([f"{path}:1: this is not YAML in UTF-8"]) from error
    if not isinstance(root, yaml.MappingNode):
        raise DefinitionInvalid([f"{path}:1: a definition is a mapping of names to values"])
    return root


def _told(path: Path, root: yaml.Node, problem: Any) -> str:
    place = ".".join(str(key) for key in problem["loc"])
    return f"{path}:{_line(_at(root, problem['loc']))}: {place}: {problem['msg']}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _at(root: yaml.Node, path: Sequence[str | int]) -> yaml.Node:
    """Find the node that a path leads to, or the last one on the way that exists.

    A path may hold what is not in the file, such as the kind of a slot; that is passed over.
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


def _repeated_keys(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    match node:
        case yaml.MappingNode():
            seen = set[str]()
            for name, value in node.value:
                if isinstance(name, yaml.ScalarNode):
                    if name.value in seen:
                        yield name
                    seen.add(name.value)
                yield from _repeated_keys(value)
        case yaml.SequenceNode():
            for child in node.value:
                yield from _repeated_keys(child)
