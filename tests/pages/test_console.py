"""The operator's console, as an operator sees it."""

import re
from typing import Any

from playwright.async_api import expect

from tertulia.embedded.simulator import Answer, ProviderSimulator
from tests.e2e.cluster import Cluster
from tests.pages.conftest import Visitor, Visits

MARKUP = "<img src=x onerror=\"document.title='taken over'\">{{ 7 * 7 }}"


async def test_an_operator_takes_a_session_over_writes_and_gives_it_back(visits: Visits) -> None:
    ada, operator = await visits(phone=True), await visits()
    await ada.opens("/chat/recruiting")
    await ada.reads("What is your name?")
    await ada.says("Ada Lovelace")
    await _open_newest(operator)
    await operator.reads("Nice to meet you, Ada Lovelace!")

    await operator.page.get_by_role("button", name="Take over").click()
    await operator.page.get_by_placeholder("Write to the person").fill("I am Grace, a person. How can I help?")
    await operator.page.get_by_role("button", name="Send").click()
    await ada.reads("I am Grace, a person.")
    await ada.reads("You are talking with a person")
    await ada.writes("Just looking around")
    await operator.reads("Just looking around")
    await operator.keeps("taken-over")
    await ada.keeps("with-a-person")
    assert len(await ada.said_by("assistant")) == 2

    await operator.page.get_by_role("button", name="Give back to the bot").click()
    await ada.page.get_by_text("You are talking with a person").wait_for(state="detached")
    await ada.says("ada@example.org")
    await ada.reads("phone number")
    assert await ada.said_by("operator") == ["I am Grace, a person. How can I help?"]


async def test_an_operator_puts_right_what_was_understood_and_undoes_a_turn(visits: Visits, cluster: Cluster) -> None:
    session = await _begun(cluster, "put-right", "Ada Byron")
    operator = await visits()
    await operator.opens(f"/console/sessions/{session}")
    known = operator.page.locator(".panel", has=operator.page.get_by_role("heading", name="What is known"))
    await expect(known).to_contain_text("Ada Byron")

    await known.get_by_role("button", name="Change").click()
    sheet = operator.page.locator(".sheet")
    await expect(sheet.get_by_label("Value, in words")).to_have_value("Ada Byron")
    await sheet.get_by_label("Value, in words").fill("Ada Lovelace")
    await operator.keeps("change")
    await sheet.get_by_role("button", name="Save").click()
    await expect(known).to_contain_text("Ada Lovelace")
    assert (await _session(cluster, session))["slots"]["name"] == "Ada Lovelace"

    await known.get_by_role("button", name="Change").click()
    await sheet.get_by_role("combobox", name="What").click()
    await operator.page.get_by_role("option", name="email", exact=True).click()
    await sheet.get_by_label("Value, in words").fill("no address")
    await sheet.get_by_role("button", name="Save").click()
    await operator.page.get_by_role("alert").first.wait_for()
    assert "email" not in (await _session(cluster, session))["slots"]
    await sheet.get_by_role("button", name="Cancel").click()

    await cluster.http.post(f"/v1/sessions/{session}/messages", json={"text": "ada@example.org"})
    await expect(known).to_contain_text("ada@example.org")
    undo = operator.page.get_by_role("button", name="Undo the last turn")
    await undo.click()
    await operator.page.get_by_role("button", name="Keep").click()
    await expect(known).to_contain_text("ada@example.org")
    await undo.click()
    await operator.page.get_by_role("button", name="Undo", exact=True).click()
    await expect(known).not_to_contain_text("ada@example.org")
    await expect(operator.page.locator(".line--withdrawn", has_text="ada@example.org")).to_be_visible()
    assert operator.complaints == []


async def test_an_operator_has_a_reply_written_anew(
    visits: Visits, cluster: Cluster, simulator: ProviderSimulator
) -> None:
    simulator.script("first", [Answer(text="A poor reply"), Answer(text="A better reply")])
    body = {"definition": "assistant", "user_id": "ada", "session_id": "anew"}
    await cluster.http.post("/v1/sessions", json=body)
    await cluster.http.post("/v1/sessions/anew/messages", json={"text": "Say something"})
    operator = await visits()
    await operator.opens("/console/sessions/anew")
    await operator.reads("A poor reply")

    await operator.page.get_by_role("button", name="Write the last reply anew").click()

    await operator.reads("A better reply")
    await expect(operator.page.locator(".line--withdrawn .line-text")).to_have_text("A poor reply")


async def test_an_operator_closes_a_session_and_erases_it(visits: Visits, cluster: Cluster) -> None:
    session = await _begun(cluster, "to-be-erased", "Ada Lovelace")
    operator, colleague = await visits(), await visits()
    for each in (operator, colleague):
        await each.opens(f"/console/sessions/{session}")
        await each.reads("Nice to meet you, Ada Lovelace!")

    await operator.page.get_by_role("button", name="Close").click()
    await operator.page.get_by_role("button", name="Keep").click()
    assert (await _session(cluster, session))["status"] == "open"
    await operator.page.get_by_role("button", name="Close").click()
    await operator.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    await operator.reads("closed by an operator")
    assert (await _session(cluster, session))["status"] == "closed"
    await expect(operator.page.get_by_role("button", name="Undo the last turn")).to_have_count(0)

    await operator.page.get_by_role("button", name="Erase").click()
    await operator.keeps("erase")
    await operator.page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    await operator.page.wait_for_url("**/console")
    assert (await cluster.http.get(f"/v1/sessions/{session}")).status_code == 404
    assert await cluster.rows("select 1 from messages where session_id = $1", session) == []
    await colleague.reads("There is no such session")


async def test_a_provider_goes_into_maintenance_and_the_others_take_its_calls(
    visits: Visits, simulator: ProviderSimulator
) -> None:
    operator, ada = await visits(), await visits()
    await ada.opens("/chat/assistant")
    await ada.page.locator("[role=log] article").first.wait_for()
    await ada.says("Who answers?")
    assert _asked(simulator)[-1] == "first"

    await operator.opens("/console/providers")
    first = operator.page.locator("[data-provider=first]")
    await first.get_by_role("button", name="Maintenance").click()
    await expect(first.locator(".badge").first).to_have_text("maintenance")
    await expect(first).to_contain_text("Not asked: in maintenance")
    await operator.keeps("maintenance")
    await ada.says("And who answers now?")
    assert _asked(simulator)[-1] == "second"

    await first.get_by_role("button", name="Back into service").click()
    await expect(first).not_to_contain_text("Not asked")


async def test_a_session_tells_why_it_went_so(visits: Visits, simulator: ProviderSimulator) -> None:
    simulator.script("first", [Answer(text=MARKUP)])
    ada, operator = await visits(), await visits()
    await ada.opens("/chat/assistant")
    await ada.page.locator("[role=log] article").first.wait_for()
    await ada.says(MARKUP)
    await _open_newest(operator)
    transcript = operator.page.get_by_role("log")
    await expect(transcript.locator(".line-text", has_text="onerror")).to_have_count(2)
    assert await transcript.locator("img").count() == 0

    await operator.page.get_by_role("button", name="turn 1").click()
    sheet = operator.page.locator(".sheet")
    await expect(sheet).to_contain_text("first, attempt 1")
    await expect(sheet).to_contain_text(re.compile(r"Tokens\s*\d+ in, \d+ out \(reported\)"))
    await operator.keeps("evidence")
    await operator.page.keyboard.press("Escape")

    # The diagram marks where the session is.
    await expect(operator.page.locator("svg .current").first).to_be_visible()
    assert await operator.page.title() != "taken over"
    assert operator.asked_elsewhere == []


async def test_every_room_of_the_console_opens_and_asks_nobody_else(visits: Visits, cluster: Cluster) -> None:
    await cluster.http.post("/v1/jobs", json={"job_id": "gardener", "title": MARKUP})
    question = {"text": "May you work in the garden?", "type": "boolean", "must_have": True, "weight": 1}
    await cluster.http.put("/v1/jobs/gardener/questions/garden", json=question)
    operator = await visits()
    for path, shown in {
        "/console": "Sessions",
        "/console/providers": "What it took",
        "/console/definitions": "Recruiting assistant",
        "/console/definitions/recruiting": "Every state, slot and placeholder",
        "/console/jobs": MARKUP,
        "/console/jobs/gardener": "May you work in the garden?",
        "/console/sessions/no-such-session": "There is no such session",
    }.items():
        await operator.opens(path)
        await operator.reads(shown)
        await operator.keeps(path.strip("/").replace("/", "-"))
    assert operator.asked_elsewhere == []
    assert operator.complaints == []
    assert await operator.page.title() != "taken over"


async def _begun(cluster: Cluster, session_id: str, name: str) -> str:
    """Open a session with the recruiting assistant, and give a name."""
    body = {"definition": "recruiting", "user_id": "ada", "session_id": session_id}
    assert (await cluster.http.post("/v1/sessions", json=body)).is_success
    assert (await cluster.http.post(f"/v1/sessions/{session_id}/messages", json={"text": name})).is_success
    return session_id


async def _session(cluster: Cluster, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await cluster.http.get(f"/v1/sessions/{session_id}")).json()
    return found


def _asked(simulator: ProviderSimulator) -> list[str]:
    """List the models that were asked, without the probes, which name none."""
    return [exchange.model for exchange in simulator.log if exchange.model]


async def _open_newest(operator: Visitor) -> None:
    """Open the session that has begun last, from the list."""
    await operator.opens("/console")
    await operator.page.locator("td a").first.click()
    await operator.page.get_by_role("heading", name="Transcript").wait_for()
