"""Tickets: unguessable, kept as digests, and gone with their session."""

import pytest

from tertulia.domain.errors import NotFound
from tertulia.domain.ids import SessionId
from tertulia.storage.pool import Pool
from tertulia.storage.tickets import PostgresTickets

from .examples import CHAT, at, opened


@pytest.fixture
async def tickets(pool: Pool) -> PostgresTickets:
    await opened(pool)
    return PostgresTickets(pool)


async def test_a_ticket_leads_back_to_its_session_as_often_as_it_is_shown(tickets: PostgresTickets) -> None:
    first, second = await tickets.issue(CHAT, at(1)), await tickets.issue(CHAT, at(2))

    assert [await tickets.admit(ticket) for ticket in (first, first, second)] == [CHAT] * 3


@pytest.mark.parametrize("ticket", ["", CHAT, "x" * 2000, "\ud800", "\0"])
async def test_what_is_no_ticket_leads_nowhere(tickets: PostgresTickets, ticket: str) -> None:
    assert await tickets.admit(ticket) is None


async def test_a_ticket_needs_a_session_and_goes_with_it(tickets: PostgresTickets, pool: Pool) -> None:
    with pytest.raises(NotFound):
        await tickets.issue(SessionId("never-was"), at(1))
    ticket = await tickets.issue(CHAT, at(1))
    async with pool.connection() as connection:
        stored = await connection.fetchval("SELECT encode(digest, 'escape') FROM tickets")
        await connection.execute("DELETE FROM sessions")

    assert await tickets.admit(ticket) is None
    assert ticket not in stored
