"""Settings: where they come from, what they mean together, and how they are refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tertulia.config import Settings, load_settings
from tertulia.domain.errors import InvalidInput

NO_FILE = Path("/nonexistent/.env")


def _load(**environ: str) -> Settings:
    return load_settings(environ, dotenv=NO_FILE)


def _asked(settings: Settings) -> list[str]:
    return [provider.name for provider in settings.providers if provider.unusable is None]


# --- where they come from ---------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# a comment\nPROVIDER_RETRY_ATTEMPTS=5\nTERTULIA_PORT=9000\n")
    settings = load_settings({"TERTULIA_PORT": "9001"}, dotenv=file)
    assert (settings.provider_retry_attempts, settings.port) == (5, 9001)


def test_an_empty_value_counts_as_absent_and_hides_the_one_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PROVIDER_TIMEOUT=7\nGROQ_API_KEY=\n")
    settings = load_settings({"PROVIDER_TIMEOUT": ""}, dotenv=file)
    assert (settings.provider_timeout, _asked(settings)) == (30, ["offline"])


def test_what_belongs_to_other_programs_is_left_alone() -> None:
    assert _load(PATH="/bin", HOME="/root", TEMPORAL_TLS="true") == _load()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        _load().port = 1  # type: ignore[misc]


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


# --- how they are refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENABLE_PROVIDER_SYSTEM", "perhaps"),
        ("PRIMARY_PROVIDER", "two words"),
        ("PROVIDER_TIMEOUT", "0"),
        ("PROVIDER_TIMEOUT", "soon"),
        ("PROVIDER_RETRY_ATTEMPTS", "0"),
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
        _load(PROVIDER_TIMEOUT="-1", TERTULIA_PORT="eighty", TERTULIA_LOG_LEVEL="loud")
    names = [line.partition(":")[0] for line in str(refused.value).splitlines()]
    assert sorted(names) == ["PROVIDER_TIMEOUT", "TERTULIA_LOG_LEVEL", "TERTULIA_PORT"]


def test_every_unknown_provider_without_an_address_is_refused_by_what_is_missing() -> None:
    with pytest.raises(InvalidInput) as refused:
        _load(PRIMARY_PROVIDER="mine", FALLBACK_PROVIDER="yours")
    names = [line.partition(":")[0] for line in str(refused.value).splitlines()]
    assert names == ["MINE_BASE_URL", "YOURS_BASE_URL"]


def test_a_part_that_needs_the_database_names_the_setting() -> None:
    with pytest.raises(InvalidInput, match=r"^DATABASE_URL: "):
        _load().require_database_url()


def test_keys_are_never_shown() -> None:
    settings = _load(
        GROQ_API_KEY="k-secret", MINE_API_KEY="k-secret", MINE_BASE_URL="http://h", PRIMARY_PROVIDER="mine"
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "k-secret" not in shown


def test_an_error_repeats_no_value() -> None:
    with pytest.raises(InvalidInput) as refused:
        _load(GROQ_API_KEY="k-secret", PROVIDER_TIMEOUT="k-secret", PRIMARY_PROVIDER="k secret!")
    assert "secret" not in str(refused.value)
