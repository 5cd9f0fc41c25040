"""The candidate's chat, as a candidate sees it."""

import re

from playwright.async_api import expect

from tertulia.embedded.simulator import Answer, ProviderSimulator
from tests.e2e.cluster import Cluster
from tests.pages.conftest import Visits
from tests.recruiting_script import EXCHANGES, GOODBYE, GREETING, RESUME

MARKUP = (
    """<img src=x onerror="document.title='taken over'"><script>document.title='taken over'</script>"""
    """<a href="javascript:alert(1)">here</a> {{ 7 * 7 }} `${7*7}` **bold** &lt;i&gt;"""
)


async def test_a_candidate_completes_an_application_on_a_phone(visits: Visits, cluster: Cluster) -> None:
    ada = await visits(phone=True)
    await ada.opens("/chat")
    await ada.page.get_by_role("link", name="Recruiting assistant").click()
    await ada.reads(GREETING)
    assert await ada.page.get_by_role("progressbar").get_attribute("aria-valuenow") == "1"
    await ada.keeps("greeting")

    for number, exchange in enumerate(EXCHANGES, 1):
        await ada.reads(exchange.question)
        await expect(ada.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", str(number))
        match exchange.slot:
            case "resume":
                upload = ada.page.get_by_label("Choose a file")
                await upload.set_input_files(
                    {"name": "cv.png", "mimeType": "image/png", "buffer": b"\x89PNG" + bytes(99)}
                )
                await ada.reads("This file")
                await upload.set_input_files({"name": "cv.txt", "mimeType": "text/plain", "buffer": RESUME.encode()})
            case "work_authorisation":
                await ada.page.get_by_role("button", name="Yes", exact=True).click()
            case "work_mode":
                await ada.keeps("choices")
                await ada.page.get_by_role("button", name="hybrid", exact=True).click()
            case "start_date":
                await ada.page.get_by_label("Choose a day").fill("2031-09-01")
                await ada.keeps("day")
                await ada.page.get_by_role("button", name="Send this day").click()
            case _:
                await ada.writes(exchange.answer)

    await ada.reads(GOODBYE)
    await ada.keeps("complete")
    (stored,) = await cluster.rows(
        "select state, channel, slots->>'start_date' as day, slots->>'work_mode' as mode from sessions"
        " where state = 'completed'"
    )
    assert tuple(stored) == ("completed", "web", "2031-09-01", "hybrid")
    assert ada.asked_elsewhere == []
    # The picture was refused as a résumé, and the browser notes every refusal.
    assert [complaint for complaint in ada.complaints if "422" not in complaint] == []
    # Nothing sticks out to the side.
    assert await ada.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_a_reload_in_the_middle_of_an_answer_loses_nothing(visits: Visits, simulator: ProviderSimulator) -> None:
    tale = " ".join(f"word{number}" for number in range(40))
    simulator.script("first", [Answer(text=tale, gap_s=0.15)])
    ada = await visits(phone=True)
    await ada.opens("/chat/assistant")
    await ada.page.locator("[role=log] article").first.wait_for()

    await ada.writes("Tell me a tale")
    await ada.page.locator(".said--writing", has_text="word3").wait_for()
    await ada.keeps("being-written")
    assert await ada.said_by("assistant") != [tale]
    await ada.page.reload()

    await ada.page.locator("[role=log] .said--assistant", has_text="word39").wait_for()
    assert (await ada.said_by("assistant"))[-1] == tale
    assert await ada.said_by("user") == ["Tell me a tale"]
    assert await ada.page.locator(".said--writing").count() == 0


async def test_a_chat_goes_on_where_it_was_after_a_reload_and_on_another_device(visits: Visits) -> None:
    ada = await visits()
    await ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ada.opens("/chat/recruiting")
    await ada.reads("What is your name?")
    await ada.says("Ada Lovelace")
    await ada.page.get_by_role("textbox").fill("not sent yet")
    await ada.page.reload()
    await ada.reads("At which e-mail address")
    assert await ada.page.get_by_role("textbox").input_value() == "not sent yet"
    assert await ada.said_by("user") == ["Ada Lovelace"]

    await ada.page.get_by_label("More").click()
    await ada.page.get_by_role("button", name="Continue on another device").click()
    await ada.reads("The link is copied")
    link = await ada.page.evaluate("navigator.clipboard.readText()")
    phone = await visits(phone=True)
    await phone.opens(link.removeprefix(phone.url))
    await phone.reads("At which e-mail address")
    assert await phone.said_by("user") == ["Ada Lovelace"]
    assert "continue" not in phone.page.url

    stranger = await visits()
    await stranger.opens("/chat/recruiting")
    await stranger.reads("What is your name?")
    assert await stranger.said_by("user") == []


async def test_whatever_is_written_is_shown_as_text(visits: Visits, simulator: ProviderSimulator) -> None:
    simulator.script("first", [Answer(text=MARKUP)])
    eve = await visits()
    await eve.opens("/chat/assistant")
    await eve.page.locator("[role=log] article").first.wait_for()
    await eve.says(MARKUP)
    assert (await eve.said_by("user"), (await eve.said_by("assistant"))[-1]) == ([MARKUP], MARKUP)
    await eve.page.reload()
    await eve.page.locator("[role=log] .said--user").wait_for()

    assert await eve.said_by("user") == [MARKUP]
    assert await eve.page.title() == "Assistant"
    assert await eve.page.locator("[role=log] img, [role=log] script").count() == 0


async def test_the_keyboard_alone_is_enough_and_everything_has_a_name(visits: Visits) -> None:
    ada = await visits()
    await ada.opens("/chat/recruiting")
    await ada.reads("What is your name?")
    # Where there is a keyboard, the field has the focus from the start.
    await ada.page.keyboard.type("Ada Lovelace")
    await ada.page.keyboard.press("Enter")
    await ada.reads("At which e-mail address")

    nameless = await ada.page.evaluate(
        """[...document.querySelectorAll('main button, main input, main textarea, main summary')]
           .filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
    )
    assert nameless == []
    log = ada.page.get_by_role("log")
    assert await log.get_attribute("aria-live") == "polite"
    assert re.search(r"You:\s*Ada Lovelace", await log.inner_text())
    assert await ada.page.evaluate("document.activeElement.id") == "draft"


async def test_a_message_that_was_written_while_the_server_was_away_is_sent_when_it_is_back(
    visits: Visits, cluster: Cluster
) -> None:
    ada = await visits()
    await ada.opens("/chat/recruiting")
    await ada.reads("What is your name?")
    await cluster.kill_api()
    await ada.writes("Ada Lovelace")
    await ada.reads("Sending")
    await cluster.start_api()
    await cluster.ready()
    await ada.reads("At which e-mail address")
    assert await ada.said_by("user") == ["Ada Lovelace"]


async def test_a_candidate_takes_an_answer_back_and_gives_a_better_one(visits: Visits, cluster: Cluster) -> None:
    ada = await visits(phone=True)
    await ada.opens("/chat/recruiting")
    await ada.reads("What is your name?")
    await ada.says("Ada Byron")
    await ada.reads("At which e-mail address")

    await ada.page.get_by_role("button", name="Change this").click()
    await ada.page.locator("[role=log] .said--user").wait_for(state="detached")
    assert await ada.page.get_by_role("textbox").input_value() == "Ada Byron"
    await ada.reads("What is your name?")
    await ada.keeps("taken-back")
    await ada.says("Ada Lovelace")
    await ada.reads("Nice to meet you, Ada Lovelace!")

    assert await ada.said_by("user") == ["Ada Lovelace"]
    (stored,) = await cluster.rows("select count(*) from sessions where slots->>'name' = 'Ada Lovelace' and turn >= 3")
    assert stored["count"] >= 1


async def test_what_is_said_on_one_device_is_shown_on_the_other(visits: Visits) -> None:
    ada = await visits()
    await ada.opens("/chat/recruiting")
    await ada.reads("What is your name?")
    kept = await ada.page.evaluate("JSON.parse(localStorage.getItem('tertulia:recruiting:')).ticket")
    phone = await visits(phone=True)
    await phone.opens(f"/chat/recruiting#continue={kept}")
    await phone.reads("What is your name?")

    await phone.says("Ada Lovelace")

    await ada.reads("Nice to meet you, Ada Lovelace!")
    assert await ada.said_by("user") == ["Ada Lovelace"]


async def test_candidates_are_offered_what_is_for_them(visits: Visits) -> None:
    ada = await visits()
    await ada.opens("/chat/hiring")
    await ada.reads("What would you like to talk about?")

    assert ada.page.url.endswith("/chat")
    assert await ada.page.get_by_role("link", name="Hiring desk").count() == 0


async def test_a_link_leads_to_the_chats_of_another_tenant(visits: Visits, cluster: Cluster) -> None:
    ada = await visits()
    await ada.opens("/chat?tenant=acme")
    await ada.page.get_by_role("link", name="Recruiting assistant").click()
    await ada.reads(EXCHANGES[0].question)
    await ada.opens("/chat/recruiting?tenant=nobody")
    await ada.reads("What would you like to talk about?")

    assert ada.page.url.endswith("/chat")
    (opened,) = await cluster.rows("select tenant from sessions where channel = 'web' order by created_at desc limit 1")
    assert opened["tenant"] == "acme"
