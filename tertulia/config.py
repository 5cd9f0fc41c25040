"""Settings: one frozen model, read from the environment (and `.env`) in composition roots only."""

import base64
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from tertulia.domain.errors import InvalidInput
from tertulia.domain.ids import MAX_TURNS_PER_RUN, TURNS_PER_RUN, Identifier, ProviderName
from tertulia.domain.providers.configs import PROVIDER_NAME_PATTERN, LoadBalanceStrategy, ProviderConfig, ProviderKind
from tertulia.domain.providers.known import KNOWN, KnownProvider

OFFLINE = ProviderName("offline")

_SEALING_KEY_BYTES = 32
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")

# They end up in a header.
_ORIGINS = r"^(https?://[A-Za-z0-9.*:\[\]-]+(\s*,\s*|$))*$"


def _lower(text: object) -> object:
    return text.strip().lower() if isinstance(text, str) else text


def _sealing_keys(keys: SecretStr) -> SecretStr:
    for key in keys.get_secret_value().split(","):
        if len(base64.b64decode(key.strip())) != _SEALING_KEY_BYTES:
            raise ValueError("must be made with `openssl rand -base64 32`; several of them with commas in between")
    return keys


Name = Annotated[str, BeforeValidator(_lower), Field(pattern=PROVIDER_NAME_PATTERN)]
SealingKeys = Annotated[SecretStr, AfterValidator(_sealing_keys)]


def _parted(given: object) -> object:
    return tuple(part.strip() for part in given.split(",") if part.strip()) if isinstance(given, str) else given


def _origins(given: object) -> object:
    origins = _parted(given)
    if isinstance(origins, tuple) and not all(_ORIGIN.fullmatch(str(origin)) for origin in origins):
        raise ValueError("must be origins such as https://jobs.example.org, with commas in between")
    return origins


Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]
Tenants = Annotated[tuple[Identifier, ...], BeforeValidator(_parted), Field(min_length=1)]


def _webhook_secret(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,256}", secret.get_secret_value()):
        raise ValueError("must be 16 to 256 characters of A-Z a-z 0-9 _ -; `openssl rand -hex 32` makes one")
    return secret


def _api_url(url: str) -> str:
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError("is not an address (https://host/path)")
    return url.rstrip("/")


Secret = Annotated[SecretStr, Field(min_length=1)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
ApiUrl = Annotated[str, AfterValidator(_api_url)]


class Settings(BaseModel):
    """Everything that can be set. Each field's alias is the variable's name.

    Attributes:
        enable_provider_system: Where false, only the primary provider is asked.
        provider_timeout: Longest time for one attempt at a provider, seconds.
        provider_retry_attempts: Further attempts at one provider after the first one, before the next one is asked.
        provider_patience: How long a turn may wait for a provider to open again where none is open, seconds.
        tenant_daily_budget_usd: What a tenant without a budget of its own may spend a day; None: no bound.
        resumes_to_providers: Whether providers are asked for what the rules don't find in a résumé, and so get it.
        allow_private_providers: Whether providers that are added at runtime may lie in a private network.
        secret_key: Seals the keys of providers that are added at runtime; without it none can be stored. Several, with
            commas in between, open what each has sealed; the first one seals.
        database_url: PostgreSQL to use; without it `tertulia up` starts its own.
        temporal_address: host:port of the Temporal server; without it `tertulia up` starts its own.
        require_keys: Whether callers of the API must show a key; by default all but those on this machine must.
        rate_limit: Requests a second that each key, and each session's token, may make of one process; 0: any number.
        worker_metrics: host:port where a worker tells Prometheus what Temporal's SDK knows.
        cors_origins: The pages whose scripts may call the API from a browser, such as https://jobs.example.org.
        whatsapp_template: Goes where nothing else may be sent any more; its body has one variable, for the text.
        telegram_webhook_secret: Stands in the webhook's address, and comes with each of its calls.
        channel_settle_seconds: How long a message from a messenger waits for others that may belong before it.
        temporal_ui: Where the Temporal UI is, for the console's links; `tertulia up` knows its own.
        chat_tenants: Whose chats there are on the web; links name one by `?tenant=`, or else mean the first one.
        chat_rate_limit: What visitors of one address may do a second in these chats, in one process: begin one, write,
            hand over a file; 0: any number.
        chat_embedders: Origins whose pages may show the chat in a frame, with commas in between.
        chat_css: A file of rules that come behind the chat's own.
        providers: In the order of preference; a name that was given twice counts once.
    """

    model_config = ConfigDict(frozen=True, validate_by_alias=True, validate_by_name=True, hide_input_in_errors=True)

    enable_provider_system: bool = Field(default=True, alias="ENABLE_PROVIDER_SYSTEM")
    primary_provider: Name = Field("openrouter", alias="PRIMARY_PROVIDER")
    secondary_provider: Name = Field("gemini", alias="SECONDARY_PROVIDER")
    fallback_provider: Name = Field("groq", alias="FALLBACK_PROVIDER")
    provider_timeout: float = Field(30, alias="PROVIDER_TIMEOUT", gt=0, le=600)
    provider_retry_attempts: int = Field(3, alias="PROVIDER_RETRY_ATTEMPTS", ge=0, le=10)
    provider_load_balance: LoadBalanceStrategy = Field(LoadBalanceStrategy.ROUND_ROBIN, alias="PROVIDER_LOAD_BALANCE")
    provider_check_seconds: int = Field(60, alias="PROVIDER_CHECK_SECONDS", ge=5)
    provider_patience: float = Field(120, alias="PROVIDER_PATIENCE", ge=0, le=86_400)
    tenant_daily_budget_usd: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, alias="TENANT_DAILY_BUDGET_USD"
    )
    resumes_to_providers: bool = Field(default=True, alias="TERTULIA_RESUMES_TO_PROVIDERS")
    allow_private_providers: bool = Field(default=False, alias="TERTULIA_ALLOW_PRIVATE_PROVIDERS")
    secret_key: SealingKeys | None = Field(None, alias="TERTULIA_SECRET_KEY", exclude=True, repr=False)

    # Left out when the settings are shown, for it may hold a password.
    database_url: str | None = Field(None, alias="DATABASE_URL", repr=False)
    temporal_address: str | None = Field(None, alias="TEMPORAL_ADDRESS")
    temporal_namespace: str | None = Field(None, alias="TEMPORAL_NAMESPACE")

    host: str = Field("127.0.0.1", alias="TERTULIA_HOST")
    require_keys: bool | None = Field(None, alias="TERTULIA_REQUIRE_KEYS")
    rate_limit: float = Field(50, alias="TERTULIA_RATE_LIMIT", ge=0)
    cors_origins: Origins | None = Field(None, alias="TERTULIA_CORS_ORIGINS")
    user_is_session: bool = Field(default=False, alias="TERTULIA_OPENAI_USER_IS_SESSION")
    port: int = Field(8080, alias="TERTULIA_PORT", ge=0, le=65535)
    data_dir: Path = Field(Path(".tertulia"), alias="TERTULIA_DATA_DIR")
    definitions_dir: Path = Field(Path("definitions"), alias="TERTULIA_DEFINITIONS_DIR")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", alias="TERTULIA_LOG_LEVEL"
    )
    temporal_ui: str | None = Field(None, alias="TERTULIA_TEMPORAL_UI", pattern=r"^https?://[^\s;,]+$")
    chat_tenants: Tenants = Field(("default",), alias="TERTULIA_CHAT_TENANTS")
    chat_rate_limit: float = Field(20, alias="TERTULIA_CHAT_RATE_LIMIT", ge=0)
    chat_embedders: str = Field("", alias="TERTULIA_CHAT_EMBEDDERS", pattern=_ORIGINS)
    chat_css: Path | None = Field(None, alias="TERTULIA_CHAT_CSS")
    worker_metrics: str | None = Field(None, alias="TERTULIA_WORKER_METRICS")
    turns_per_run: int = Field(TURNS_PER_RUN, alias="TERTULIA_TURNS_PER_RUN", ge=1, le=MAX_TURNS_PER_RUN)

    whatsapp_phone_number_id: str | None = Field(None, alias="WHATSAPP_PHONE_NUMBER_ID", pattern=r"^\d+$")
    whatsapp_access_token: Secret | None = Field(None, alias="WHATSAPP_ACCESS_TOKEN", exclude=True, repr=False)
    whatsapp_app_secret: Secret | None = Field(None, alias="WHATSAPP_APP_SECRET", exclude=True, repr=False)
    whatsapp_verify_token: Secret | None = Field(None, alias="WHATSAPP_VERIFY_TOKEN", exclude=True, repr=False)
    whatsapp_definition: str = Field("recruiting", alias="WHATSAPP_DEFINITION")
    whatsapp_tenant: Identifier = Field("default", alias="WHATSAPP_TENANT")
    whatsapp_template: str | None = Field(None, alias="WHATSAPP_TEMPLATE")
    whatsapp_template_language: str = Field("en", alias="WHATSAPP_TEMPLATE_LANGUAGE")
    whatsapp_api_url: ApiUrl = Field("https://graph.facebook.com/v24.0", alias="WHATSAPP_API_URL")

    telegram_bot_token: Secret | None = Field(None, alias="TELEGRAM_BOT_TOKEN", exclude=True, repr=False)
    telegram_webhook_secret: WebhookSecret | None = Field(
        None, alias="TELEGRAM_WEBHOOK_SECRET", exclude=True, repr=False
    )
    telegram_definition: str = Field("recruiting", alias="TELEGRAM_DEFINITION")
    telegram_tenant: Identifier = Field("default", alias="TELEGRAM_TENANT")
    telegram_api_url: ApiUrl = Field("https://api.telegram.org", alias="TELEGRAM_API_URL")

    channel_settle_seconds: float = Field(1, alias="CHANNEL_SETTLE_SECONDS", ge=0, le=60)

    providers: tuple[ProviderConfig, ...] = ()

    @property
    def keys_required(self) -> bool:
        """Whether callers of the API must show a key."""
        return not self.is_local if self.require_keys is None else self.require_keys

    @property
    def is_local(self) -> bool:
        """Whether the API can be reached from this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def require_database_url(self) -> str:
        """Return the database's URL.

        Raises:
            InvalidInput: There is none.
        """
        if self.database_url is None:
            raise InvalidInput("needed here (only `tertulia up` brings a PostgreSQL of its own)", field="DATABASE_URL")
        return self.database_url


# How the variables of one provider end, by the field that each sets.
_ENDINGS: Mapping[str, str] = {
    "kind": "KIND",
    "base_url": "BASE_URL",
    "model": "MODEL",
    "api_key": "API_KEY",
    "timeout_s": "TIMEOUT",
    "priority": "PRIORITY",
    "weight": "WEIGHT",
    "max_concurrent": "MAX_CONCURRENT",
    "context_window": "CONTEXT_WINDOW",
    "input_price": "INPUT_PRICE",
    "output_price": "OUTPUT_PRICE",
    "daily_budget_usd": "DAILY_BUDGET_USD",
}

# What a channel can't do without.
_NEEDED_BY_CHANNELS = (
    ("WHATSAPP_PHONE_NUMBER_ID", "WHATSAPP_ACCESS_TOKEN", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN"),
    ("TELEGRAM_BOT_TOKEN", "TELEGRAM_WEBHOOK_SECRET"),
)

# Rules of ours need no sparing.
_CONCURRENT: Mapping[str, int] = {ProviderKind.OFFLINE: 1000}
_KINDS: Mapping[str, ProviderKind] = {kind.value: kind for kind in ProviderKind}

# An OpenAI-compatible server can be anywhere, and often has but one model.
_UNKNOWN = KnownProvider("", "default")


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; an empty value counts as absent.

    Raises:
        InvalidInput: Names every setting that can't be used, one a line.
    """
    values = {name: value for name, value in environ.items() if value}
    settings, problems = _settings(values)
    providers, provider_problems = _providers(settings, values)
    if found := [*problems, *provider_problems, *_channel_problems(values)]:
        raise InvalidInput("\n".join(found))
    return settings.model_copy(update={"providers": providers})


def _settings(values: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Read what does not belong to a single provider, as far as it can be used, and what is wrong with the rest."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        wrong = {str(e["loc"][0]): e["msg"] for e in error.errors(include_input=False)}
    usable = {name: value for name, value in values.items() if name not in wrong}
    return Settings.model_validate(usable), [f"{name}: {problem}" for name, problem in wrong.items()]


def _providers(settings: Settings, values: Mapping[str, str]) -> tuple[tuple[ProviderConfig, ...], list[str]]:
    names = (settings.primary_provider, settings.secondary_provider, settings.fallback_provider)
    wanted = dict.fromkeys(names if settings.enable_provider_system else names[:1])
    found: list[ProviderConfig] = []
    problems: list[str] = []
    for name in wanted:
        of_all = {
            "timeout_s": settings.provider_timeout,
            "max_retries": settings.provider_retry_attempts,
            "priority": 1 + names.index(name),
        }
        try:
            config = ProviderConfig.model_validate({**of_all, **_fields(name, values)})
        except ValidationError as error:
            problems += [f"{_variable(name)}_{_ENDINGS[str(e['loc'][0])]}: {e['msg']}" for e in error.errors()]
        else:
            problems += _address_problems(config)
            found.append(config)
    if all(config.unusable for config in found):
        found.append(_offline())
    return tuple(found), problems


def _fields(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Read what is said of one provider; what is not said is what its kind has by default."""
    variables = {field: f"{_variable(name)}_{ending}" for field, ending in _ENDINGS.items()}
    given = {field: values[variable] for field, variable in variables.items() if variable in values}
    kind = given.get("kind", name if name in _KINDS else ProviderKind.OPENAI).strip().lower()
    known = KNOWN.get(_KINDS.get(kind, ProviderKind.OPENAI), _UNKNOWN)
    model = given.get("model", known.model)
    usable = not known.needs_key or "base_url" in given or "api_key" in given
    return {
        "name": name,
        "max_concurrent": _CONCURRENT.get(kind, 10),
        "context_window": known.context_window if model == known.model else None,
        "unusable": None if usable else f"no key ({variables['api_key']} is not set)",
        **given,
        "kind": kind,
        "base_url": given.get("base_url", known.base_url).rstrip("/"),
        "model": model,
    }


def _address_problems(config: ProviderConfig) -> list[str]:
    variable = f"{_variable(config.name)}_BASE_URL"
    if config.kind is ProviderKind.OFFLINE:
        return []
    if not config.base_url:
        return [f"{variable}: needed, because {config.name!r} is not a provider known by name"]
    try:
        address = urlsplit(config.base_url)
    except ValueError:
        return [f"{variable}: is not an address (https://host/path)"]
    if address.scheme not in {"http", "https"} or not address.hostname:
        return [f"{variable}: is not an address (https://host/path)"]
    if address.username is not None or address.password is not None:
        return [f"{variable}: must hold no name or password; the key goes into {_variable(config.name)}_API_KEY"]
    return []


def _channel_problems(values: Mapping[str, str]) -> list[str]:
    """Name what is missing of a channel of which something is given: it works with all of it, or not at all."""
    return [
        f"{name}: needed, because {next(filter(values.get, needed))} is set"
        for needed in _NEEDED_BY_CHANNELS
        for name in needed
        if any(map(values.get, needed)) and name not in values
    ]


def _offline() -> ProviderConfig:
    # Behind whatever is added later.
    return ProviderConfig.model_validate({**_fields(OFFLINE, {}), "priority": 100})


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")
