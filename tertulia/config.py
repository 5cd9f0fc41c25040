"""Settings: one frozen model, read from the environment (and `.env`) in composition roots only."""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import MAX_TURNS_PER_RUN, TURNS_PER_RUN, ProviderName

OFFLINE = ProviderName("offline")


class LoadBalanceStrategy(StrEnum):
    ROUND_ROBIN = "round_robin"
    LEAST_LOAD = "least_load"
    FASTEST_RESPONSE = "fastest_response"
    COST_OPTIMIZED = "cost_optimized"


def _lower(text: object) -> object:
    return text.strip().lower() if isinstance(text, str) else text


Name = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


Dialect = Literal["openai", "openrouter", "groq", "gemini", "anthropic", "ollama", "offline"]


class Provider(BaseModel):
    """How to reach one provider.

    Attributes:
        dialect: Which wire it speaks, with which peculiarities.
        api_key: None where the server needs none.
        unusable: Why it can't be asked (no key, say); None where it can.
    """

    model_config = ConfigDict(frozen=True)

    name: ProviderName
    dialect: Dialect
    base_url: str
    model: str
    api_key: SecretStr | None
    unusable: str | None = None


class Settings(BaseModel):
    """Everything that can be set. Each field's alias is the variable's name.

    Attributes:
        enable_provider_system: Where false, only the primary provider is asked.
        provider_timeout: Longest time for one attempt at a provider, seconds.
        provider_retry_attempts: Attempts at one provider, the first included, before the next one is asked.
        database_url: PostgreSQL to use; without it `tertulia up` starts its own.
        temporal_address: host:port of the Temporal server; without it `tertulia up` starts its own.
        providers: In the order of preference; a name that was given twice counts once.
    """

    model_config = ConfigDict(frozen=True, validate_by_alias=True, validate_by_name=True, hide_input_in_errors=True)

    enable_provider_system: bool = Field(default=True, alias="ENABLE_PROVIDER_SYSTEM")
    primary_provider: Name = Field("openrouter", alias="PRIMARY_PROVIDER")
    secondary_provider: Name = Field("gemini", alias="SECONDARY_PROVIDER")
    fallback_provider: Name = Field("groq", alias="FALLBACK_PROVIDER")
    provider_timeout: float = Field(30, alias="PROVIDER_TIMEOUT", gt=0, le=600)
    provider_retry_attempts: int = Field(3, alias="PROVIDER_RETRY_ATTEMPTS", ge=1, le=10)
    provider_load_balance: LoadBalanceStrategy = Field(LoadBalanceStrategy.ROUND_ROBIN, alias="PROVIDER_LOAD_BALANCE")
    provider_check_seconds: int = Field(60, alias="PROVIDER_CHECK_SECONDS", ge=5)

    database_url: str | None = Field(None, alias="DATABASE_URL")
    temporal_address: str | None = Field(None, alias="TEMPORAL_ADDRESS")
    temporal_namespace: str | None = Field(None, alias="TEMPORAL_NAMESPACE")

    host: str = Field("127.0.0.1", alias="TERTULIA_HOST")
    port: int = Field(8080, alias="TERTULIA_PORT", ge=0, le=65535)
    data_dir: Path = Field(Path(".tertulia"), alias="TERTULIA_DATA_DIR")
    definitions_dir: Path = Field(Path("definitions"), alias="TERTULIA_DEFINITIONS_DIR")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", alias="TERTULIA_LOG_LEVEL"
    )
    turns_per_run: int = Field(TURNS_PER_RUN, alias="TERTULIA_TURNS_PER_RUN", ge=1, le=MAX_TURNS_PER_RUN)

    providers: tuple[Provider, ...] = ()

    def require_database_url(self) -> str:
        """Return the database's URL.

        Raises:
            InvalidInput: There is none.
        """
        if self.database_url is None:
            raise InvalidInput("needed here (only `tertulia up` brings a PostgreSQL of its own)", field="DATABASE_URL")
        return self.database_url


_KNOWN: Mapping[str, tuple[Dialect, str, str]] = {
    "openrouter": ("openrouter", "https://openrouter.ai/api/v1", "openrouter/auto"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com/v1beta", "gemini-flash-latest"),
    "groq": ("groq", "https://api.groq.com/openai/v1", "openai/gpt-oss-120b"),
    "anthropic": ("anthropic", "https://api.anthropic.com", "claude-haiku-4-5"),
    "ollama": ("ollama", "http://localhost:11434", "llama3.2"),
}


def load_settings(environ: Mapping[str, str] | None = None, *, dotenv: Path = Path(".env")) -> Settings:
    """Read the settings; the environment wins over `.env`, and an empty value counts as absent.

    Raises:
        InvalidInput: Names every setting that can't be used, one a line.
    """
    given = {**dotenv_values(dotenv), **(os.environ if environ is None else environ)}
    values = {name: value for name, value in given.items() if value}
    problems: list[str] = []
    settings = Settings()
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
    providers, provider_problems = _providers(settings, values)
    problems += provider_problems
    if problems:
        raise InvalidInput("\n".join(problems))
    return settings.model_copy(update={"providers": providers})


def _providers(settings: Settings, values: Mapping[str, str]) -> tuple[tuple[Provider, ...], list[str]]:
    names = dict.fromkeys((settings.primary_provider, settings.secondary_provider, settings.fallback_provider))
    wanted = list(names) if settings.enable_provider_system else [settings.primary_provider]
    found: list[Provider] = []
    problems: list[str] = []
    for name in wanted:
        if name == OFFLINE:
            found.append(_offline())
        elif name in _KNOWN or f"{_variable(name)}_BASE_URL" in values:
            found.append(_provider(name, values))
        else:
            problems.append(f"{_variable(name)}_BASE_URL: needed, because {name!r} is not a provider known by name")
    if all(provider.unusable for provider in found):
        found.append(_offline())
    return tuple(found), problems


def _provider(name: str, values: Mapping[str, str]) -> Provider:
    dialect, base_url, model = _KNOWN.get(name, ("openai", "", "default"))
    variable = _variable(name)
    key = values.get(f"{variable}_API_KEY")
    keyless = dialect == "ollama" or f"{variable}_BASE_URL" in values
    return Provider(
        name=ProviderName(name),
        dialect=dialect,
        base_url=values.get(f"{variable}_BASE_URL", base_url).rstrip("/"),
        model=values.get(f"{variable}_MODEL", model),
        api_key=SecretStr(key) if key else None,
        unusable=None if key or keyless else f"no key ({variable}_API_KEY is not set)",
    )


def _offline() -> Provider:
    return Provider(name=OFFLINE, dialect="offline", base_url="", model="offline", api_key=None)


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")
