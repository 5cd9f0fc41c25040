"""Conversations written in YAML, to rehearse a definition with."""

from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from tertulia.domain.definitions.rehearsal import Miss, Script, Scripts
from tertulia.storage.yaml_lines import YamlFile, read_yaml


class ScriptFile(NamedTuple):
    """The conversations of one file, which knows where each is written."""

    file: YamlFile
    conversations: tuple[Script, ...]

    def told(self, conversation: int, miss: Miss) -> str:
        """Tell what came otherwise, with the place of the expectation."""
        place = self.file.place(("conversations", conversation, "steps", miss.step, miss.expectation))
        return f"{place}: {self.conversations[conversation].it}: {miss.what}"


def load_scripts(path: Path) -> ScriptFile:
    """Read a file of conversations.

    Raises:
        FileNotFoundError: There is none.
        DefinitionInvalid: It can't be used; every problem is named with its place.
    """
    file = read_yaml(path)
    try:
        return ScriptFile(file, Scripts.model_validate(file.data).conversations)
    except ValidationError as error:
        raise file.told(error) from error
