"""Server-sent events, decoded from any pieces of their bytes."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.providers.sse import MAX_EVENT_BYTES, MAX_STREAM_BYTES, Event, EventDecoder, JSONEvent, JSONEventDecoder

TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
LINES = st.one_of(
    TEXT,
    st.sampled_from(["data: ", "data:", "event: ", ":", "id: ", ""]).flatmap(lambda field: TEXT.map(field.__add__)),
    st.sampled_from(["", "data: a", "data", '{"a": [1, "}"]}', '{"a":', '"\\"}"}', "[", "]"]),
)
BODIES = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=20).map(
    lambda lines: "".join(line + ending for line, ending in lines).encode()
)


def decoded(pieces: Iterable[bytes]) -> list[Event]:
    decoder = EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + list(decoder.end())


def objects(body: bytes) -> list[JSONEvent]:
    decoder = JSONEventDecoder()
    return [*decoder.feed(body), *decoder.end()]


@given(BODIES, st.lists(st.integers(0, 300), max_size=8))
def test_any_split_gives_the_same_events(body: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert decoded(body[start:end] for start, end in pairwise(bounds)) == decoded([body])


@given(BODIES)
def test_single_bytes_give_the_same_events(body: bytes) -> None:
    assert decoded(body[at : at + 1] for at in range(len(body))) == decoded([body])


@given(
    st.lists(st.tuples(TEXT.filter(bool), st.lists(TEXT, min_size=1, max_size=3))),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_is_encoded_is_decoded(events: list[tuple[str, list[str]]], ending: str) -> None:
    lines = [
        line
        for name, data in events
        for line in (": a comment", f"event: {name}", *(f"data: {part}" for part in data), "")
    ]
    body = "".join(line + ending for line in lines).encode()
    assert decoded([body]) == [Event(name, "\n".join(data)) for name, data in events]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [Event("", "a")]),
        (b"data:a\n\n", [Event("", "a")]),
        (b"data:  a\n\n", [Event("", " a")]),
        (b"data\n\n", [Event("", "")]),
        (b"data: a\ndata: b\n\n", [Event("", "a\nb")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [Event("x", "a"), Event("", "b")]),
        (b"event: x\n\ndata: b\n\n", [Event("", "b")]),
        (b": comment\n\n:\n", []),
        (b"\n\n\n", []),
        (b"id: 1\nretry: 5\nnonsense\ndatum: a\n\n", []),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [Event("", "a"), Event("", "b"), Event("", "c")]),
        (b"data: a", [Event("", "a")]),
        (b'{"a": 1}\n', [Event("", '{"a": 1}')]),
        (b'{"a": 1}', [Event("", '{"a": 1}')]),
        (b'{"a": 1}\n{"b": 2}\n', [Event("", '{"a": 1}'), Event("", '{"b": 2}')]),
        (b'{\n  "a": "}"\n}\n', [Event("", '{\n  "a": "}"\n}')]),
        (b'{"a": "\\"}"}\n', [Event("", '{"a": "\\"}"}')]),
        (b'[{"a":\n\n1}]\n', [Event("", '[{"a":\n\n1}]')]),
        (b'{"cut": \n', []),
        (b'{"cut": \ndata: b\n\n', [Event("", "b")]),
        (b"data: caf\xc3\xa9 \xff\n\n", [Event("", "caf\u00e9 \ufffd")]),
    ],
)
def test_lines_make_events(body: bytes, events: list[Event]) -> None:
    assert decoded([body]) == events


@pytest.mark.parametrize("start", [b"data: ", b"{", b": "])
def test_a_line_without_end_is_given_up(start: bytes) -> None:
    with pytest.raises(ProviderFailure, match="event is larger than 8 MiB") as failed:
        decoded([start, *[b"x" * 2**20] * 9])
    assert failed.value.failure is FailureClass.MALFORMED


def test_an_event_without_end_is_given_up() -> None:
    line = b"data: " + b"x" * 2**20 + b"\n"
    with pytest.raises(ProviderFailure, match="event is larger"):
        decoded([line] * (MAX_EVENT_BYTES // 2**20 + 1))


def test_a_stream_without_end_is_given_up() -> None:
    storm = b": " + b"x" * 2**20 + b"\n"
    with pytest.raises(ProviderFailure, match="stream is larger than 64 MiB"):
        decoded([storm] * (MAX_STREAM_BYTES // len(storm) + 1))


def test_a_string_that_is_never_closed_takes_no_longer_than_another() -> None:
    assert decoded([b'{"' + b'\\"' * 500_000 + b"\n"]) == []


def test_objects_are_parsed_with_exact_fractions() -> None:
    assert objects(b'event: x\ndata: {"cost": 0.1}\n\ndata: [DONE]\n\n') == [
        JSONEvent("x", {"cost": Decimal("0.1")}),
        JSONEvent("", None),
    ]


def test_an_object_in_an_array_of_one_is_unwrapped() -> None:
    assert objects(b'[{"error": {"code": 503}}]') == [JSONEvent("", {"error": {"code": 503}})]


@pytest.mark.parametrize("data", ["{", "5", '"text"', "[]", '[{"a":1},{"b":2}]', "nil", "[" * 100_000])
def test_up_to_three_events_that_are_no_objects_are_passed_over(data: str) -> None:
    broken = f"data: {data}\n\n".encode()
    assert objects(broken * 3 + b"data: {}\n\n") == [JSONEvent("", {})]
    with pytest.raises(ProviderFailure) as failed:
        objects(broken * 4)
    assert failed.value.failure is FailureClass.MALFORMED


def test_empty_data_is_a_heartbeat() -> None:
    assert objects(b"data:\n\n" * 10 + b"data: {}\n\n") == [JSONEvent("", {})]
