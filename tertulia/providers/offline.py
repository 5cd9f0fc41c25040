"""The provider that needs no account and no network: it understands by rules, and says what it can't do."""

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

from tertulia.domain.providers.completions import Completion, CompletionRequest, FinishReason, TextDelta, Usage
from tertulia.domain.providers.health import ProbeResult
from tertulia.providers.reading import Schema, read
from tertulia.providers.untrusted import mapping

MODEL = "offline"

_WORD = re.compile(r"\s*\S+\s*")
_LIMITS = "no AI provider is connected, so I can only follow the questions of this conversation."
_TO_A_QUESTION = f"That is a good question, but I can't answer it: {_LIMITS}"
_TO_A_REMARK = f"Thank you. I can't say much about that: {_LIMITS}"


class Offline:
    """A Completer that always answers, and the same to the same."""

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield the answer word by word; the last item is the Completion."""
        text = answer(request)
        words = _WORD.findall(text)
        for word in words:
            yield TextDelta(text=word)
        prompt = sum(len(message.text.split()) for message in request.messages)
        usage = Usage(input_uncached=prompt, output_visible=len(words), source="estimated")
        yield Completion(text=text, finish=FinishReason.STOP, usage=usage, model=MODEL)

    async def probe(self) -> ProbeResult:
        """Tell that it is there; it always is."""
        return ProbeResult(reachable=True, latency_ms=0.0, detail="needs no network")


def answer(request: CompletionRequest) -> str:
    """Answer by rules: JSON that fits the request's schema, or a sentence where it has none."""
    said = next((message.text for message in reversed(request.messages) if message.role == "user"), "").strip()
    if request.json_schema is None:
        return _TO_A_QUESTION if said.endswith("?") else _TO_A_REMARK
    return json.dumps(_read(request.json_schema, said), ensure_ascii=False)


def _read(schema: Schema, said: str) -> Any:
    # An answer that is to become one value was read by better rules before, and they found it unclear.
    # A guess could let somebody through who does not meet the requirement.
    return {"value": None} if set(mapping(schema.get("properties"))) == {"value"} else read(schema, said)
