"""Settings: where they come from, what they mean together, and how they are refused."""

import base64
from decimal import Decimal

import pytest
from pydantic import ValidationError

from tertulia.config import Settings, load_settings
from tertulia.domain.errors import InvalidInput
from tertulia.domain.providers.configs import ProviderConfig, ProviderKind


def _load(**environ: str) -> Settings:
    return load_settings(environ)


def _asked(settings: Settings) -> list[str]:
    return [provider.name for provider in settings.providers if provider.unusable is None]


# --- where they come from ---------------------------------------------------------------------------------------------


def test_an_empty_value_counts_as_absent() -> None:
    settings = _load(PROVIDER_TIMEOUT="", GROQ_API_KEY="")
    assert (settings.provider_timeout, _asked(settings)) == (30, ["offline"])


def test_what_belongs_to_other_programs_is_left_alone() -> None:
    assert _load(PATH="/bin", HOME="/root", TEMPORAL_TLS="true") == _load()


def test_chats_on_the_web_are_those_of_the_tenants_that_are_named() -> None:
    assert _load().chat_tenants == ("default",)
    assert _load(TERTULIA_CHAT_TENANTS="acme, other").chat_tenants == ("acme", "other")
    with pytest.raises(InvalidInput, match="TERTULIA_CHAT_TENANTS"):
        _load(TERTULIA_CHAT_TENANTS="no name")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        _load().port = 1  # type: ignore[misc]


def test_the_budget_of_tenants_is_exact() -> None:
    assert _load(TENANT_DAILY_BUDGET_USD="0.10").tenant_daily_budget_usd == Decimal("0.10")


def test_several_sealing_keys_may_be_given() -> None:
    keys = ",".join(base64.b64encode(bytes([n]) * 32).decode() for n in range(2))
    given = _load(TERTULIA_SECRET_KEY=keys).secret_key
    assert given is not None
    assert given.get_secret_value() == keys


# --- which providers are asked ----------------------------------------------------------------------------------------


def test_without_any_key_the_offline_provider_answers() -> None:
    assert _asked(_load()) == ["offline"]


def test_providers_are_asked_in_their_order_and_those_without_a_key_are_not() -> None:
    settings = _load(OPENROUTER_API_KEY="k1", GROQ_API_KEY="k2")
    assert _asked(settings) == ["openrouter", "groq"]
    assert [(p.name, p.unusable) for p in settings.providers if p.unusable] == [
        ("gemini", "no key (GEMINI_API_KEY is not set)")
    ]


def test_the_order_is_the_one_given() -> None:
    order = {"PRIMARY_PROVIDER": "groq", "SECONDARY_PROVIDER": "openrouter", "FALLBACK_PROVIDER": "offline"}
    settings = _load(**order, OPENROUTER_API_KEY="k1", GROQ_API_KEY="k2")
    assert _asked(settings) == ["groq", "openrouter", "offline"]


def test_each_provider_has_its_own_key_and_model() -> None:
    settings = _load(OPENROUTER_API_KEY="k1", GROQ_API_KEY="k2", GROQ_MODEL="small")
    keys = {p.name: p.api_key.get_secret_value() for p in settings.providers if p.api_key}
    assert keys == {"openrouter": "k1", "groq": "k2"}
    assert {p.model for p in settings.providers if p.name == "groq"} == {"small"}


def test_a_provider_named_twice_counts_once() -> None:
    assert _asked(_load(PRIMARY_PROVIDER="groq", GROQ_API_KEY="k")) == ["groq"]


def test_only_the_primary_is_asked_where_the_provider_system_is_off() -> None:
    settings = _load(ENABLE_PROVIDER_SYSTEM="false", OPENROUTER_API_KEY="k1", GROQ_API_KEY="k2")
    assert _asked(settings) == ["openrouter"]


def test_where_the_provider_system_is_off_the_others_need_no_address() -> None:
    settings = _load(ENABLE_PROVIDER_SYSTEM="false", SECONDARY_PROVIDER="mine", OPENROUTER_API_KEY="k")
    assert [provider.name for provider in settings.providers] == ["openrouter"]


def test_a_provider_of_ones_own_needs_an_address_and_no_key() -> None:
    settings = _load(PRIMARY_PROVIDER=" My-Server ", MY_SERVER_BASE_URL="http://127.0.0.1:9/v1/", MY_SERVER_MODEL="s")
    mine = settings.providers[0]
    assert (mine.name, mine.base_url, mine.model, mine.unusable) == ("my-server", "http://127.0.0.1:9/v1", "s", None)


def test_a_known_provider_at_another_address_needs_no_key() -> None:
    settings = _load(GROQ_BASE_URL="http://127.0.0.1:9")
    assert _asked(settings) == ["groq"]


def _first(**environ: str) -> ProviderConfig:
    return _load(**environ).providers[0]


def test_the_attempts_and_the_time_that_are_set_are_each_providers() -> None:
    settings = _load(PROVIDER_RETRY_ATTEMPTS="0", PROVIDER_TIMEOUT="7", GEMINI_TIMEOUT="90")
    known = {p.name: (p.max_retries, p.timeout_s) for p in settings.providers}
    assert (known["openrouter"], known["gemini"], known["groq"]) == ((0, 7), (0, 90), (0, 7))


def test_each_provider_is_a_tier_of_its_own_unless_priorities_say_otherwise() -> None:
    by_place = _load()
    shared = _load(GEMINI_PRIORITY="1", GEMINI_WEIGHT="2.5")
    assert [p.priority for p in by_place.providers] == [1, 2, 3, 100]
    assert [(p.priority, p.weight) for p in shared.providers[:3]] == [(1, 1), (1, 2.5), (3, 1)]


def test_the_offline_provider_that_nobody_named_stands_behind_all_others_and_is_not_spared() -> None:
    offline = _load().providers[-1]
    assert (offline.name, offline.priority, offline.max_concurrent) == ("offline", 100, 1000)


def test_a_provider_has_its_own_limits_and_prices() -> None:
    mine = _first(
        PRIMARY_PROVIDER="mine",
        MINE_BASE_URL="http://h/v1",
        MINE_MAX_CONCURRENT="3",
        MINE_INPUT_PRICE="0.15",
        MINE_OUTPUT_PRICE="0.60",
        MINE_DAILY_BUDGET_USD="2.50",
        MINE_CONTEXT_WINDOW="8192",
    )
    assert (mine.max_concurrent, mine.context_window) == (3, 8192)
    assert (mine.input_price, mine.output_price, mine.daily_budget_usd) == (
        Decimal("0.15"),
        Decimal("0.60"),
        Decimal("2.50"),
    )


@pytest.mark.parametrize("name", ["gemini", "anthropic", "ollama", "groq", "openrouter"])
def test_a_name_that_is_a_kind_is_of_that_kind(name: str) -> None:
    assert _first(PRIMARY_PROVIDER=name).kind == name


def test_any_name_can_be_of_any_kind_and_is_found_where_its_kind_is() -> None:
    second = _first(PRIMARY_PROVIDER="claude-two", CLAUDE_TWO_KIND=" Anthropic", CLAUDE_TWO_API_KEY="k")
    facade = _first(
        PRIMARY_PROVIDER="gemini", GEMINI_KIND="openai", GEMINI_BASE_URL="https://h/v1beta/openai/", GEMINI_MODEL="m"
    )
    assert (second.kind, second.base_url, second.unusable) == (
        ProviderKind.ANTHROPIC,
        "https://api.anthropic.com",
        None,
    )
    assert (facade.kind, facade.base_url) == (ProviderKind.OPENAI, "https://h/v1beta/openai")


@pytest.mark.parametrize(
    ("name", "window"),
    [("openrouter", None), ("gemini", 1_000_000), ("groq", 131_072), ("anthropic", 200_000), ("ollama", None)],
)
def test_the_context_window_is_known_of_the_usual_model_alone(name: str, window: int | None) -> None:
    usual = _first(PRIMARY_PROVIDER=name)
    other = _first(**{"PRIMARY_PROVIDER": name, f"{name.upper()}_MODEL": "other"})
    assert (usual.context_window, other.context_window) == (window, None)


# --- how they are refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENABLE_PROVIDER_SYSTEM", "perhaps"),
        ("PRIMARY_PROVIDER", "two words"),
        ("PROVIDER_TIMEOUT", "0"),
        ("PROVIDER_TIMEOUT", "soon"),
        ("PROVIDER_RETRY_ATTEMPTS", "-1"),
        ("PROVIDER_RETRY_ATTEMPTS", "11"),
        ("PROVIDER_PATIENCE", "-1"),
        ("TENANT_DAILY_BUDGET_USD", "0"),
        ("TENANT_DAILY_BUDGET_USD", "NaN"),
        ("TERTULIA_ALLOW_PRIVATE_PROVIDERS", "perhaps"),
        ("TERTULIA_SECRET_KEY", "short"),
        ("TERTULIA_SECRET_KEY", "c2hvcnQ="),
        ("GROQ_KIND", "carrier-pigeon"),
        ("GROQ_TIMEOUT", "0"),
        ("GROQ_PRIORITY", "0"),
        ("GROQ_WEIGHT", "0"),
        ("GROQ_MAX_CONCURRENT", "0"),
        ("GROQ_INPUT_PRICE", "-1"),
        ("GROQ_OUTPUT_PRICE", "cheap"),
        ("GROQ_DAILY_BUDGET_USD", "0"),
        ("GROQ_CONTEXT_WINDOW", "0"),
        ("GROQ_BASE_URL", "ftp://h"),
        ("GROQ_BASE_URL", "h:80"),
        ("GROQ_BASE_URL", "http://[h"),
        ("GROQ_BASE_URL", "http://somebody:secret@h"),
        ("PROVIDER_LOAD_BALANCE", "random"),
        ("PROVIDER_CHECK_SECONDS", "1"),
        ("TERTULIA_PORT", "65536"),
        ("TERTULIA_LOG_LEVEL", "loud"),
        ("TERTULIA_TURNS_PER_RUN", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{name}: [^\n]+$"):
        _load(**{name: value})


def test_all_problems_are_told_together_each_on_a_line() -> None:
    with pytest.raises(InvalidInput) as refused:
        _load(
            PRIMARY_PROVIDER="mine",
            PROVIDER_TIMEOUT="-1",
            TERTULIA_PORT="eighty",
            TERTULIA_LOG_LEVEL="loud",
            GROQ_WEIGHT="heavy",
            GROQ_PRIORITY="first",
        )
    names = [line.partition(":")[0] for line in str(refused.value).splitlines()]
    assert names == [
        "PROVIDER_TIMEOUT",
        "TERTULIA_PORT",
        "TERTULIA_LOG_LEVEL",
        "MINE_BASE_URL",
        "GROQ_PRIORITY",
        "GROQ_WEIGHT",
    ]


def test_every_unknown_provider_without_an_address_is_refused_by_what_is_missing() -> None:
    with pytest.raises(InvalidInput) as refused:
        _load(PRIMARY_PROVIDER="mine", FALLBACK_PROVIDER="yours")
    names = [line.partition(":")[0] for line in str(refused.value).splitlines()]
    assert names == ["MINE_BASE_URL", "YOURS_BASE_URL"]


def test_a_part_that_needs_the_database_names_the_setting() -> None:
    with pytest.raises(InvalidInput, match=r"^DATABASE_URL: "):
        _load().require_database_url()


def test_keys_and_passwords_are_never_shown() -> None:
    sealing = base64.b64encode(b"k-secret" * 4).decode()
    settings = _load(
        GROQ_API_KEY="k-secret",
        MINE_API_KEY="k-secret",
        MINE_BASE_URL="http://h",
        PRIMARY_PROVIDER="mine",
        TERTULIA_SECRET_KEY=sealing,
        DATABASE_URL="postgresql://somebody:k-secret@h/d",
    )
    for shown in (repr(settings), str(settings), repr(settings.providers)):
        assert "k-secret" not in shown
        assert sealing not in shown
    dumped = settings.model_dump_json(exclude={"database_url"})
    assert "k-secret" not in dumped
    assert sealing not in dumped


def test_an_error_repeats_no_value() -> None:
    with pytest.raises(InvalidInput) as refused:
        _load(
            GROQ_API_KEY="k-secret",
            PROVIDER_TIMEOUT="k-secret",
            PRIMARY_PROVIDER="k secret!",
            GROQ_BASE_URL="http://u:secret@h",
        )
    assert "secret" not in str(refused.value)


# --- keys of the API --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "setting", "required"),
    [
        ("127.0.0.1", "", False),
        ("127.1.2.3", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("::", "", True),
        ("192.168.1.5", "", True),
        ("tertulia.example.org", "", True),
        ("127.0.0.1", "true", True),
        ("0.0.0.0", "false", False),
    ],
)
def test_keys_are_required_of_all_but_this_machine_unless_set_otherwise(
    host: str, setting: str, required: bool
) -> None:
    assert _load(TERTULIA_HOST=host, TERTULIA_REQUIRE_KEYS=setting).keys_required is required
