"""What becomes of a message on its way: by attempts, by receipts in any order, by the clock."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from tertulia.domain import deliveries
from tertulia.domain.channels import ChannelName, ChannelRules, ChatNames, Purpose, Receipt, chat_names
from tertulia.domain.deliveries import Delivery, DeliveryKey, DeliveryStatus, Manner, Spoken
from tertulia.domain.errors import ChannelFailure, ChannelProblem
from tertulia.domain.ids import MessageId, SessionId, TenantId, is_identifier

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
KEY = DeliveryKey(session_id=SessionId("whatsapp-0123.1"), seq=3, part=1)
PLANNED = Delivery(key=KEY, planned_at=NOON)
FREE = ChannelRules(text_limit=4096)
BOUND = ChannelRules(text_limit=4096, window=timedelta(hours=24), confirms_within=timedelta(seconds=30))
WITH_TEMPLATE = BOUND.model_copy(update={"has_template": True})


def later(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def receipt(status: str, *, platform_id: str = "w1", minute: float = 1, **fields: Any) -> Receipt:
    at = NOON + timedelta(minutes=minute)
    return Receipt.model_validate({"platform_id": platform_id, "status": status, "at": at} | fields)


def sending() -> Delivery:
    return deliveries.begun(PLANNED, NOON, by_template=False)


def sent() -> Delivery:
    return deliveries.accepted(sending(), "w1", NOON)


@pytest.mark.parametrize(
    ("rules", "hours", "unprompted", "late", "expected"),
    [
        (FREE, 1000, True, False, Manner.FREELY),
        (BOUND, 23.99, False, False, Manner.FREELY),
        (BOUND, 24, False, False, Manner.HOLD),
        (BOUND, 24, True, False, Manner.SKIP),
        (BOUND, 1, False, True, Manner.HOLD),
        (WITH_TEMPLATE, 23.99, True, False, Manner.FREELY),
        (WITH_TEMPLATE, 24, False, False, Manner.BY_TEMPLATE),
        (WITH_TEMPLATE, 24, True, False, Manner.BY_TEMPLATE),
        (WITH_TEMPLATE, 1, False, True, Manner.BY_TEMPLATE),
    ],
)
def test_the_window_decides_how_a_message_goes(
    rules: ChannelRules, hours: float, unprompted: bool, late: bool, expected: Manner
) -> None:
    assert deliveries.manner(rules, heard_at=NOON, at=later(hours), unprompted=unprompted, late=late) is expected


def test_what_was_withdrawn_does_not_go() -> None:
    for rules in (FREE, BOUND, WITH_TEMPLATE):
        assert deliveries.manner(rules, heard_at=NOON, at=NOON, unprompted=False, withdrawn=True) is Manner.SKIP


@pytest.mark.parametrize("how", [Manner.HOLD, Manner.SKIP])
def test_what_has_arrived_meanwhile_is_not_put_off(how: Manner) -> None:
    arrived = deliveries.told(sending(), receipt("delivered"))

    assert deliveries.put_off(arrived, how) == arrived


def test_receipts_in_any_order_and_more_than_once_come_to_the_same() -> None:
    receipts = [receipt("sent", minute=1), receipt("delivered", minute=2), receipt("read", minute=3)]
    for order in permutations(receipts):
        seen = sent()
        for told in (*order, *order):
            seen = deliveries.told(seen, told)
        assert (seen.status, seen.delivered_at, seen.read_at) == (
            DeliveryStatus.READ,
            receipts[1].at if order.index(receipts[1]) < order.index(receipts[2]) else receipts[2].at,
            receipts[2].at,
        )


def test_a_receipt_that_comes_before_the_answer_is_not_undone_by_it() -> None:
    told = deliveries.told(sending(), receipt("delivered"))

    assert deliveries.accepted(told, "w1", NOON).status is DeliveryStatus.DELIVERED


def test_a_message_that_was_cut_off_is_known_by_its_receipt() -> None:
    told = deliveries.told(sending(), receipt("sent"))

    assert (told.status, told.platform_id, told.uncertain) == (DeliveryStatus.SENT, "w1", 0)


def test_an_attempt_after_one_that_was_cut_off_is_on_record() -> None:
    again = deliveries.begun(sending(), later(1), by_template=False)

    assert (again.attempts, again.uncertain) == (2, 1)


def test_an_attempt_after_a_refusal_leaves_no_doubt() -> None:
    refused = deliveries.failed(sending(), ChannelProblem.RATE_LIMIT, "429", NOON, will_retry=True)
    again = deliveries.begun(refused, later(1), by_template=False)

    assert (refused.status, again.attempts, again.uncertain) == (DeliveryStatus.WAITING, 2, 0)


def test_a_receipt_is_waited_for_no_longer_than_the_platform_may_take() -> None:
    half, whole = NOON + timedelta(seconds=15), NOON + timedelta(seconds=30)

    assert deliveries.still_unconfirmed(sending(), BOUND, half) == timedelta(seconds=15)
    assert deliveries.still_unconfirmed(sending(), BOUND, whole) is None
    assert deliveries.still_unconfirmed(sending(), FREE, NOON) is None
    assert deliveries.still_unconfirmed(PLANNED, BOUND, NOON) is None


def test_a_message_that_the_platform_finds_late_goes_in_another_manner_once() -> None:
    late = deliveries.failed(sending(), ChannelProblem.LATE, "131047", NOON, will_retry=False)
    by_template = deliveries.begun(late, NOON, by_template=True)

    assert (late.status, late.late) == (DeliveryStatus.WAITING, True)
    assert deliveries.failed(by_template, ChannelProblem.LATE, "131047", NOON, will_retry=False).status == "failed"


def test_a_failure_that_is_told_later_counts_unless_the_message_has_arrived() -> None:
    failure = receipt("failed", problem=ChannelProblem.UNDELIVERABLE, detail="131026: gone")
    late = receipt("failed", problem=ChannelProblem.LATE)

    failed = deliveries.told(sent(), failure)
    assert (failed.status, failed.problem) == (DeliveryStatus.FAILED, ChannelProblem.UNDELIVERABLE)
    assert deliveries.told(sent(), late).late
    assert deliveries.told(deliveries.told(sent(), receipt("delivered")), failure).status is DeliveryStatus.DELIVERED
    assert deliveries.told(failed, failure) == failed


def test_the_failure_of_another_attempt_changes_nothing() -> None:
    other = receipt("failed", platform_id="w0", problem=ChannelProblem.REFUSED)

    assert deliveries.told(sent(), other) == sent()


@pytest.mark.parametrize("problem", ChannelProblem)
def test_time_mends_what_is_not_about_the_message_itself(problem: ChannelProblem) -> None:
    about_the_message = {"late", "undeliverable", "refused", "unusable", "given_up"}

    assert deliveries.is_worth_a_retry(ChannelFailure(problem, "")) is (problem not in about_the_message)


def test_the_choices_go_with_the_last_part() -> None:
    cut = deliveries.pieces(Spoken(seq=3, text="One two three four", choices=("yes", "no")), 10)

    assert [(piece.part, piece.choices) for piece in cut] == [(1, ()), (2, ("yes", "no"))]


@pytest.mark.parametrize("words", [6, 7, 9, 20])
def test_the_last_part_leaves_room_to_list_the_choices(words: int) -> None:
    text, choices = " ".join(["word"] * words), ("yes", "no", "perhaps")
    cut = deliveries.pieces(Spoken(seq=3, text=text, choices=choices), 60)

    said = [text[piece.start : piece.end] for piece in cut]
    assert " ".join(said) == text
    assert len(deliveries.numbered(said[-1], choices)) <= 60
    assert all(len(part) <= 60 for part in said)


def test_a_key_is_read_back() -> None:
    assert DeliveryKey.parse(str(KEY)) == KEY
    not_ours = ("", "a/b/c", "a/1", "a/1/-1", f"a/{'9' * 30}/1", "order/20260314120000/1", f"a/1/{2**31}")
    assert [DeliveryKey.parse(text) for text in not_ours] == [None] * 7


def test_a_chat_is_named_by_keyed_hashes() -> None:
    def named(
        key: bytes = b"key", definition: str = "recruiting", tenant: str = "default", begun_by: str = "m1"
    ) -> ChatNames:
        purpose = Purpose(tenant=TenantId(tenant), definition=definition)
        return chat_names(ChannelName.WHATSAPP, "34600000001", purpose, key, begun_by=MessageId(begun_by))

    names, other_key, other_application = named(), named(key=b"another"), named(definition="support")
    other_tenant, begun_again = named(tenant="acme"), named(begun_by="m2")

    assert is_identifier(names.chat_id)
    assert is_identifier(names.user_id)
    assert "34600000001" not in names.chat_id + names.user_id
    assert len({each.chat_id for each in (names, other_key, other_application, other_tenant, begun_again)}) == 5
    assert names.user_id == other_application.user_id == begun_again.user_id
    assert len({names.user_id, other_key.user_id, other_tenant.user_id}) == 3
