"""LiteLLM's Router under the loads of the provider service's benchmarks. Its own interpreter runs this; prints JSON.

`python -m benchmarks.litellm_peer load http://127.0.0.1:9000 1:200 32:1600` makes 200 calls by one caller, then 1,600
by 32, and prints the seconds of each. `python -m benchmarks.litellm_peer outages` prints what `outages.Outcome` holds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, NoReturn

import litellm  # type: ignore[import-not-found,unused-ignore]

from benchmarks import outages
from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.domain.providers.completions import TextDelta
from tests.provider_service import virtual_time
from tests.provider_service.fleet import ScriptedProvider

_MESSAGES = [{"role": "user", "content": "Hello"}]
_ERRORS = {
    FailureClass.TIMEOUT: litellm.Timeout,
    FailureClass.RATE_LIMIT: litellm.RateLimitError,
    FailureClass.QUOTA: litellm.RateLimitError,
    FailureClass.CONNECT: litellm.APIConnectionError,
    FailureClass.OVERLOADED: litellm.ServiceUnavailableError,
}


async def seconds_under_load(url: str, loads: Sequence[tuple[int, int]]) -> list[float]:
    """Make so many calls by so many callers at each load; return how long each load took."""
    parameters = {"api_base": url, "api_key": "bench"}
    router = litellm.Router(
        model_list=[
            {"model_name": "chat", "litellm_params": {**parameters, "model": "openai/first"}},
            {"model_name": "other", "litellm_params": {**parameters, "model": "openai/second"}},
        ],
        fallbacks=[{"chat": ["other"]}],
    )

    async def calls(number: int) -> None:
        for _ in range(number):
            answer = await router.acompletion(model="chat", messages=_MESSAGES, stream=True, max_tokens=1024)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])
            assert text == "You said: Hello", text

    await calls(20)
    seconds = []
    for callers, number in loads:
        started = time.perf_counter()
        await asyncio.gather(*(calls(number // callers) for _ in range(callers)))
        seconds.append(time.perf_counter() - started)
    return seconds


class AtOnce(ThreadPoolExecutor):
    """Runs in the caller's thread: virtual time does not wait for others."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 handed on, as an executor does
            done.set_exception(error)
        return done


class Scripted(litellm.CustomLLM):  # type: ignore[misc,unused-ignore]
    """The fleet's providers, as LiteLLM calls them."""

    def __init__(self, providers: Sequence[ScriptedProvider]) -> None:
        super().__init__()
        self._providers = {provider.config.name: provider for provider in providers}

    async def acompletion(self, *_: Any, model: str, **__: Any) -> Any:
        text = ""
        try:
            async for item in self._providers[model].stream(outages.REQUEST):
                text += item.text if isinstance(item, TextDelta) else ""
        except ProviderFailure as failure:
            _raise(failure, model)
        return litellm.ModelResponse(choices=[{"message": {"role": "assistant", "content": text}}])


async def ten_minutes() -> outages.Outcome:
    """Ask the Router, as it comes but for the time limit, in place of the provider service."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(AtOnce())
    # Its cooldowns go by these.
    time.time = time.monotonic = loop.time
    providers = outages.fleet()
    litellm.custom_provider_map = [{"provider": "fleet", "custom_handler": Scripted(providers)}]
    first, *others = [provider.config.name for provider in providers]
    router = litellm.Router(
        model_list=[
            {"model_name": name, "litellm_params": {"model": f"fleet/{name}", "timeout": 30}}
            for name in (first, *others)
        ],
        fallbacks=[{first: others}],
    )
    messages = [{"role": message.role, "content": message.text} for message in outages.REQUEST.messages]
    return await outages.drive(providers, lambda: router.acompletion(model=first, messages=messages))


def _raise(failure: ProviderFailure, model: str) -> NoReturn:
    kind = _ERRORS.get(failure.failure, litellm.InternalServerError)
    hint = failure.retry_after
    error = kind(message=failure.detail, llm_provider="fleet", model=model)
    if hint is not None:
        error.litellm_response_headers = {"retry-after": str(hint.total_seconds())}
    raise error from failure


def main(mode: str, *arguments: str) -> None:
    litellm.suppress_debug_info = True
    if mode == "outages":
        sys.stdout.write(json.dumps(asdict(virtual_time.run(ten_minutes()))) + "\n")
    else:
        url, *loads = arguments
        told = [(int(callers), int(number)) for callers, _, number in (load.partition(":") for load in loads)]
        sys.stdout.write(json.dumps(asyncio.run(seconds_under_load(url, told))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
