"""`tertulia providers …`: look after the providers from a shell."""

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

from starter import provider_tables as tables
from starter.api_client import given, open_api
from starter.options import API_URL, ApiUrl, AsJson, ProviderArgument
from starter.provider_client import ProviderClient
from tertulia.api.provider_inputs import ChangeProvider
from tertulia.api.provider_views import ProviderStatusView, ProviderView
from tertulia.api.views import View
from tertulia.domain.errors import InvalidInput, NotFound
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.configs import Feature, ProviderKind
from tertulia.domain.providers.known import KNOWN

commands = typer.Typer(no_args_is_help=True, help="Add, change and remove providers; see how they are.")

_PROBLEM = 1

# Numbers with fractions go as they were typed: the API judges them, and keeps every digit.
Kind = Annotated[ProviderKind | None, typer.Option(help="Which wire it speaks; openai by default.")]
BaseUrl = Annotated[str | None, typer.Option(metavar="URL", help="Where it listens; known of all kinds but openai.")]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="The model to ask.")]
KeyFromStdin = Annotated[bool, typer.Option("--key-stdin", help="Read its key from standard input.")]
KeyFromVariable = Annotated[
    str | None, typer.Option("--key-env", metavar="VARIABLE", help="Take its key from this environment variable.")
]
TimeoutS = Annotated[str | None, typer.Option(metavar="SECONDS", help="Longest time for one attempt.")]
MaxRetries = Annotated[int | None, typer.Option(help="Further attempts before the next provider is asked.")]
Enabled = Annotated[bool | None, typer.Option("--enabled/--disabled", help="Whether it takes part.")]
Priority = Annotated[int | None, typer.Option(help="1 is asked first.")]
Weight = Annotated[str | None, typer.Option(metavar="NUMBER", help="Share of the load among those of one priority.")]
CostPerToken = Annotated[str | None, typer.Option(metavar="USD", help="A token, in and out alike.")]
InputPrice = Annotated[str | None, typer.Option(metavar="USD", help="A million tokens of the prompt.")]
OutputPrice = Annotated[str | None, typer.Option(metavar="USD", help="A million tokens of the answer.")]
CachedInputPrice = Annotated[str | None, typer.Option(metavar="USD", help="A million tokens read from its cache.")]
MaxConcurrent = Annotated[int | None, typer.Option(help="Calls at a time, over all workers.")]
ContextWindow = Annotated[int | None, typer.Option(help="Tokens of prompt and answer together.")]
Features = Annotated[
    list[Feature] | None, typer.Option("--feature", help="What it can do beyond plain text; may be repeated.")
]
DailyBudgetUsd = Annotated[str | None, typer.Option(metavar="USD", help="Spent at most a day, from midnight UTC.")]


@commands.command("list")
def list_providers(*, as_json: AsJson = False, url: ApiUrl = API_URL) -> None:
    """List the providers as they are configured, in the order of preference."""
    with open_api(url, ProviderClient) as api:
        found = api.providers()
    if as_json:
        _print_json(found)
        return
    tables.print_configurations(found)


@commands.command()
def show(name: ProviderArgument, *, as_json: AsJson = False, url: ApiUrl = API_URL) -> None:
    """Show a provider: how it is configured, and how it is."""
    with open_api(url, ProviderClient) as api:
        config, status = _found(api, name)
    if as_json:
        _print_json([config, status])
    else:
        tables.print_provider(config, status)


@commands.command()
def add(
    name: ProviderArgument,
    *,
    kind: Kind = None,
    base_url: BaseUrl = None,
    model: Model = None,
    key_stdin: KeyFromStdin = False,
    key_env: KeyFromVariable = None,
    timeout_s: TimeoutS = None,
    max_retries: MaxRetries = None,
    enabled: Enabled = None,
    priority: Priority = None,
    weight: Weight = None,
    cost_per_token: CostPerToken = None,
    input_price: InputPrice = None,
    output_price: OutputPrice = None,
    cached_input_price: CachedInputPrice = None,
    max_concurrent: MaxConcurrent = None,
    context_window: ContextWindow = None,
    features: Features = None,
    daily_budget_usd: DailyBudgetUsd = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Add a provider. On a terminal its key is asked for; no option takes it."""
    fields = given(
        kind=kind,
        base_url=base_url,
        model=model,
        timeout_s=timeout_s,
        max_retries=max_retries,
        enabled=enabled,
        priority=priority,
        weight=weight,
        cost_per_token=cost_per_token,
        input_price=input_price,
        output_price=output_price,
        cached_input_price=cached_input_price,
        max_concurrent=max_concurrent,
        context_window=context_window,
        features=features,
        daily_budget_usd=daily_budget_usd,
    )
    key = _key(from_stdin=key_stdin, variable=key_env, ask=_takes_key(kind) and sys.stdin.isatty())
    with open_api(url, ProviderClient) as api:
        _print_done("added", api.add_provider({"name": name, **fields, **given(api_key=key)}), as_json=as_json)


@commands.command()
def update(
    name: ProviderArgument,
    *,
    kind: Kind = None,
    base_url: BaseUrl = None,
    model: Model = None,
    ask_key: Annotated[bool, typer.Option("--ask-key", help="Ask for a new key on this terminal.")] = False,
    key_stdin: KeyFromStdin = False,
    key_env: KeyFromVariable = None,
    timeout_s: TimeoutS = None,
    max_retries: MaxRetries = None,
    enabled: Enabled = None,
    priority: Priority = None,
    weight: Weight = None,
    cost_per_token: CostPerToken = None,
    input_price: InputPrice = None,
    output_price: OutputPrice = None,
    cached_input_price: CachedInputPrice = None,
    max_concurrent: MaxConcurrent = None,
    context_window: ContextWindow = None,
    features: Features = None,
    daily_budget_usd: DailyBudgetUsd = None,
    unset: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Put a field back to its default; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Change a provider; every worker follows within a second, and calls under way end as they began."""
    fields = given(
        kind=kind,
        base_url=base_url,
        model=model,
        timeout_s=timeout_s,
        max_retries=max_retries,
        enabled=enabled,
        priority=priority,
        weight=weight,
        cost_per_token=cost_per_token,
        input_price=input_price,
        output_price=output_price,
        cached_input_price=cached_input_price,
        max_concurrent=max_concurrent,
        context_window=context_window,
        features=features,
        daily_budget_usd=daily_budget_usd,
    )
    key = _key(from_stdin=key_stdin, variable=key_env, ask=ask_key)
    patch = {**fields, **given(api_key=key), **_unset(unset or [])}
    if not patch:
        raise InvalidInput("say what to change; `tertulia providers update --help` names the options")
    with open_api(url, ProviderClient) as api:
        _print_done("changed", api.update_provider(name, patch), as_json=as_json)


@commands.command()
def remove(name: ProviderArgument, *, url: ApiUrl = API_URL) -> None:
    """Remove a provider; calls under way end."""
    with open_api(url, ProviderClient) as api:
        api.remove_provider(name)


@commands.command()
def check(
    names: Annotated[
        list[ProviderName] | None, typer.Argument(metavar="[NAME]...", help="Which ones; all, where none is named.")
    ] = None,
    *,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Probe providers now, at no cost; fails where one can't be reached."""
    with open_api(url, ProviderClient) as api:
        chosen = names or [each.name for each in api.providers() if each.unusable is None]
        probes = [api.check_provider(name) for name in chosen]
    if as_json:
        _print_json(probes)
    else:
        for probe in probes:
            typer.echo(tables.probe_line(probe))
    raise typer.Exit(0 if all(probe.reachable for probe in probes) else _PROBLEM)


@commands.command()
def status(*, as_json: AsJson = False, url: ApiUrl = API_URL) -> None:
    """Tell how the providers are, and why some would be passed over now."""
    with open_api(url, ProviderClient) as api:
        found = api.provider_status()
    if found.stale:
        typer.echo(f"Storage can't be reached: this is as it was at {tables.time(found.at)} UTC.", err=True)
    if as_json:
        _print_json(found.providers)
        return
    tables.print_status(found.providers)


@commands.command()
def metrics(
    *,
    window: Annotated[str | None, typer.Option(help="15m, 1h, 7d; an hour by default.")] = None,
    since: Annotated[str | None, typer.Option(help="From when: ISO 8601, or how long ago.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when: ISO 8601, or how long ago.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Tell what came of the attempts: answers, failures, latency, tokens and cost."""
    with open_api(url, ProviderClient) as api:
        found = api.provider_metrics(window=window, since=since, until=until)
    if as_json:
        _print_json(found.providers)
        return
    typer.echo(f"{tables.time(found.since)} to {tables.time(found.until)} UTC")
    tables.print_metrics(found.providers)


@commands.command()
def history(
    name: ProviderArgument,
    *,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Tell what was decided about a provider, newest first: breaker, gates, limit, maintenance."""
    with open_api(url, ProviderClient) as api:
        changes = api.provider_history(name, limit).changes
    if as_json:
        _print_json(changes)
        return
    for change in changes:
        typer.echo(tables.change_line(change))


@commands.command()
def maintenance(
    name: ProviderArgument,
    *,
    note: Annotated[str | None, typer.Option(help="Why, for others to read.")] = None,
    end: Annotated[bool, typer.Option("--end", help="Put it back in service.")] = False,
    url: ApiUrl = API_URL,
) -> None:
    """Take a provider out of service, or put it back: it is asked nothing new, and calls under way end."""
    with open_api(url, ProviderClient) as api:
        if end:
            api.end_maintenance(name)
        else:
            api.start_maintenance(name, note)


@commands.command()
def decision(
    *,
    input_tokens: Annotated[int | None, typer.Option(help="Tokens of the prompt.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of the answer at most.")] = None,
    need: Annotated[list[Feature] | None, typer.Option(help="What it must be able to do; may be repeated.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = API_URL,
) -> None:
    """Tell who would be asked now, in which order, and why the others wouldn't."""
    with open_api(url, ProviderClient) as api:
        found = api.provider_decision(given(input_tokens=input_tokens, max_tokens=max_tokens, needs=need or None))
    if as_json:
        _print_json([found])
        return
    for line in tables.decision_lines(found):
        typer.echo(line)


# --- what is sent -----------------------------------------------------------------------------------------------------


def _unset(names: Iterable[str]) -> Mapping[str, None]:
    fields = [name.replace("-", "_") for name in names]
    if unknown := set(fields) - ChangeProvider.model_fields.keys():
        known = ", ".join(ChangeProvider.model_fields)
        raise InvalidInput(f"there is no field {', '.join(sorted(unknown))}; there are {known}", field="--unset")
    return dict.fromkeys(fields)


def _takes_key(kind: ProviderKind | None) -> bool:
    known = KNOWN.get(kind or ProviderKind.OPENAI)
    return known is None or known.needs_key


def _key(*, from_stdin: bool, variable: str | None, ask: bool) -> str | None:
    """Read a key from where others can't see it: an argument would stand in the list of processes and in histories."""
    if from_stdin and variable is not None:
        raise InvalidInput("--key-stdin and --key-env exclude each other")
    if from_stdin:
        return _usable(sys.stdin.buffer.readline().decode(errors="replace").strip(), "--key-stdin")
    if variable is not None:
        # What was given may be the key itself, so it is not said back.
        return _usable(os.environ.get(variable, ""), "--key-env")
    if ask:
        typed = typer.prompt("Key (empty: none)", default="", show_default=False, hide_input=True, err=True)
        return _usable(typed, "the key") if typed else None
    return None


def _usable(key: str, source: str) -> str:
    if not key:
        raise InvalidInput("there is no key", field=source)
    if not key.isascii() or not key.isprintable():
        raise InvalidInput("a key is printable ASCII", field=source)
    return key


def _found(api: ProviderClient, name: ProviderName) -> tuple[ProviderView, ProviderStatusView]:
    configs = {each.name: each for each in api.providers()}
    statuses = {each.provider: each for each in api.provider_status().providers}
    if name not in configs or name not in statuses:
        raise NotFound("provider", name)
    return configs[name], statuses[name]


# --- what is told -----------------------------------------------------------------------------------------------------


def _print_json(views: Iterable[View]) -> None:
    for view in views:
        typer.echo(view.model_dump_json())


def _print_done(done: str, provider: ProviderView, *, as_json: bool) -> None:
    if as_json:
        _print_json([provider])
    else:
        typer.echo(f"{done}: {provider.name} ({provider.kind}, {provider.model}, {provider.base_url or 'no address'})")
