import pytest

from tertulia.domain.errors import InvalidInput, NotFound
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers import configs
from tertulia.domain.providers.configs import ProviderKind
from tests.domain.providers_seen import A, B, provider

KEY = "sk-very-secret"
TWO = {A: provider("a", kind="groq", api_key=KEY, weight=2), B: provider("b", kind="gemini")}


def test_a_provider_is_added_under_a_free_name() -> None:
    assert set(configs.added({A: TWO[A]}, TWO[B])) == {A, B}
    with pytest.raises(InvalidInput, match="exists already"):
        configs.added(TWO, TWO[A])


def test_a_patch_changes_its_fields_and_leaves_the_others() -> None:
    changed = configs.updated(TWO, A, {"priority": 3})[A]
    assert (changed.priority, changed.weight, changed.kind) == (3, 2, ProviderKind.GROQ)
    assert changed.key_fingerprint == TWO[A].key_fingerprint


def test_none_puts_a_field_back_to_its_default() -> None:
    changed = configs.updated(TWO, A, {"weight": None, "api_key": None})[A]
    assert (changed.weight, changed.api_key) == (1, None)


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"name": "c"}, "name"),
        ({"weight": 0}, "weight"),
        ({"weight": float("inf")}, "weight"),
        ({"timeout_s": 601}, "timeout_s"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"priority": 0}, "priority"),
        ({"kind": "fax"}, "kind"),
        ({"colour": "red"}, "colour"),
        ({"input_price": "-1"}, "input_price"),
        ({"daily_budget_usd": 0}, "daily_budget_usd"),
    ],
)
def test_what_can_not_be_used_is_named(patch: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        configs.updated(TWO, A, patch)


def test_all_problems_are_named_at_once_and_no_value_is_quoted() -> None:
    with pytest.raises(InvalidInput) as caught:
        configs.checked({"name": "Not A Name", "api_key": {"key": KEY}, "weight": -1})
    assert {line.split(":")[0] for line in str(caught.value).splitlines()} == {"name", "api_key", "weight"}
    assert KEY not in str(caught.value)


def test_the_last_provider_that_can_be_asked_stays() -> None:
    only_one_left = {**TWO, B: provider("b", unusable="no key")}
    with pytest.raises(InvalidInput, match="last provider"):
        configs.removed(only_one_left, A)
    assert set(configs.removed(only_one_left, B)) == {A}
    assert set(configs.removed(TWO, A)) == {B}


def test_who_is_not_there_can_be_neither_changed_nor_removed() -> None:
    nobody = ProviderName("nobody")
    with pytest.raises(NotFound):
        configs.updated(TWO, nobody, {})
    with pytest.raises(NotFound):
        configs.removed(TWO, nobody)


def test_a_key_is_in_no_dump_and_no_text() -> None:
    config = TWO[A]
    assert KEY not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"


def test_keys_are_told_apart_by_their_fingerprints() -> None:
    other = provider("a", api_key="another")
    assert TWO[A].key_fingerprint != other.key_fingerprint
    assert TWO[B].key_fingerprint is None
