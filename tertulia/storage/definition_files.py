"""Definitions from a directory of YAML files. Every problem is told with its file and line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tertulia.domain.definitions.definition import CheckedDefinition, Definition
from tertulia.domain.errors import DefinitionInvalid, NotFound
from tertulia.domain.ids import DefinitionName, is_identifier
from tertulia.storage.yaml_lines import read_yaml

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
    file = read_yaml(path)
    try:
        definition = CheckedDefinition.model_validate(file.data)
    except ValidationError as error:
        raise file.told(error) from error
    if definition.name != path.stem:
        raise DefinitionInvalid([f"{file.place(('name',))}: name: has to be {path.stem!r}, as the file is called"])
    return definition
