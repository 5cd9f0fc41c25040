"""Asks providers for JSON of a shape, outside of any session."""

from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tertulia.domain.errors import NotAdmitted, ProviderFailure, Unavailable
from tertulia.domain.ids import TenantId
from tertulia.domain.providers.completions import ChatMessage, CompletionRequest, json_in
from tertulia.domain.providers.configs import ProviderKind
from tertulia.ports import Completions

# Somebody waits for the answer, and rules can do without it.
_WITHIN = timedelta(seconds=25)
_MAX_TOKENS = 3000


class Shape(BaseModel):
    """Base of what is asked for: closed and with every field required, as strict decoding demands."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyShape = TypeVar("AnyShape", bound=Shape)


class Structured:
    """Never asks the offline provider: its rules know no more than those of the caller.

    Args:
        within: How long an answer may take, with all attempts.
    """

    def __init__(self, completions: Completions, *, within: timedelta = _WITHIN) -> None:
        self._completions = completions
        self._within = within

    async def ask(self, tenant: TenantId, instruction: str, material: str, shape: type[AnyShape]) -> AnyShape:
        """Ask until a provider answers.

        Args:
            tenant: Whose budget it is.
            material: What it is about. It may come from anybody, so it goes apart from the instruction.

        Raises:
            Unavailable: There is nobody to ask, nobody answered in time, or the answer has another shape.
        """
        able = [each.config for each in self._completions.configured() if each.config.kind is not ProviderKind.OFFLINE]
        if not able:
            raise Unavailable("every provider", "none is configured but the offline one")
        request = CompletionRequest(
            messages=(ChatMessage(role="system", text=instruction), ChatMessage(role="user", text=material)),
            max_tokens=_MAX_TOKENS,
            temperature=0.0,
            json_schema=shape.model_json_schema(),
        )
        try:
            completion = await self._completions.execute_with_fallback(
                request, tenant=tenant, within=self._within, only=[config.provider for config in able]
            )
        except (ProviderFailure, NotAdmitted) as error:
            raise Unavailable("every provider", str(error)) from error
        try:
            return shape.model_validate_json(json_in(completion.text))
        except ValidationError:
            # What is wrong quotes what was said.
            raise Unavailable("a provider's answer", "it has another shape than was asked for") from None
