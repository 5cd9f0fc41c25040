"""Settings: where they come from, what they mean together, and how they are refused."""

from pathlib import Path

import pytest

from tertulia.config import Settings, load_settings
from tertulia.domain.errors import InvalidInput

NO_FILE = Path("/nonexistent/.env")


def _load(**environ: str) -> Settings:
    return load_settings(environ, dotenv=NO_FILE)


def _asked(settings: Settings) -> list[str]:
    return [provider.name for provider in settings.providers if provider.unusable is None]


def test_without_any_key_the_offline_provider_answers() -> None:
    assert _asked(_load()) == ["offline"]


def test_providers_are_asked_in_their_order_and_those_without_a_key_are_not() -> None:
    settings = _load(OPENROUTER_API_KEY="k1", GROQ_API_KEY="k2")
    assert _asked(settings) == ["openrouter", "groq"]
    assert [(p.name, p.unusable) for p in settings.providers if p.unusable] == [
        ("gemini", "no key (GEMINI_API_KEY is not set)")
    ]


def test_a_provider_named_twice_counts_once() -> None:
    assert _asked(_load(PRIMARY_PROVIDER="groq", GROQ_API_KEY="k")) == ["groq"]


def test_only_the_primary_is_asked_where_the_provider_system_is_off() -> None:
    settings = _load(ENABLE_PROVIDER_SYSTEM="false", OPENROUTER_API_KEY="k1", GROQ_API_KEY="k2")
    assert _asked(settings) == ["openrouter"]


def test_a_provider_of_ones_own_needs_an_address_and_no_key() -> None:
    settings = _load(PRIMARY_PROVIDER="Mine", MINE_BASE_URL="http://127.0.0.1:9/v1/", MINE_MODEL="small")
    mine = settings.providers[0]
    assert (mine.name, mine.base_url, mine.model, mine.unusable) == ("mine", "http://127.0.0.1:9/v1", "small", None)


def test_all_problems_are_told_together_and_by_name() -> None:
    with pytest.raises(InvalidInput) as refused:
        _load(PRIMARY_PROVIDER="mine", PROVIDER_TIMEOUT="-1", TERTULIA_PORT="eighty", TERTULIA_LOG_LEVEL="loud")
    for name in ("PROVIDER_TIMEOUT", "TERTULIA_PORT", "TERTULIA_LOG_LEVEL"):
        assert name in str(refused.value)


def test_an_unknown_provider_without_an_address_is_refused_by_the_name_of_what_is_missing() -> None:
    with pytest.raises(InvalidInput, match="MINE_BASE_URL"):
        _load(PRIMARY_PROVIDER="mine")


def test_the_environment_wins_over_the_file_and_an_empty_value_counts_as_absent(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PROVIDER_TIMEOUT=7\nTERTULIA_PORT=9000\nGROQ_API_KEY=\n")
    settings = load_settings({"TERTULIA_PORT": "9001", "PROVIDER_TIMEOUT": ""}, dotenv=file)
    assert (settings.provider_timeout, settings.port, _asked(settings)) == (30, 9001, ["offline"])


def test_keys_are_neither_shown_nor_told_in_errors() -> None:
    assert "k-secret" not in repr(_load(GROQ_API_KEY="k-secret"))
    with pytest.raises(InvalidInput) as refused:
        _load(GROQ_API_KEY="k-secret", PROVIDER_TIMEOUT="k-secret")
    assert "k-secret" not in str(refused.value)
