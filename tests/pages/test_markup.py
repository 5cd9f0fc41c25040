"""Whatever a candidate, a recruiter or a program writes is shown as text, in every room of the console."""

from typing import Any

from playwright.async_api import Page

from tests.e2e.cluster import Cluster
from tests.pages.conftest import Visitor, Visits

# Short enough for a person's name; it ends whatever it may stand in, and tries a template's tongue as well.
MARKUP = (
    """</script></title>'"`<img src=x onerror=taken=1><svg onload=taken=1>"""
    """{{taken=1}}${taken=1}<script>taken=1</script>"""
)


async def test_nothing_that_anybody_writes_becomes_markup_or_script(visits: Visits, cluster: Cluster) -> None:
    await _somebody_tries_everything(cluster)
    operator = await visits()
    page = operator.page

    await operator.opens("/console")
    await _shows_it(operator, "td")
    await operator.opens("/console/sessions/markup")
    await _shows_it(operator, "h1")
    await _shows_it(operator, "[role=log] .line--user .line-text")
    await _shows_it(operator, "[role=log] .line--operator .line-text")
    # What is known, and why a human has it.
    await _shows_it(operator, ".facts dd", times=2)
    await page.get_by_role("button", name="turn 2", exact=True).first.click()
    await _shows_it(operator, ".sheet .facts dd")

    await operator.opens("/console/jobs")
    await _shows_it(operator, "td")
    await operator.opens("/console/jobs/markup")
    await _shows_it(operator, "h1")
    await _shows_it(operator, ".answer")
    for number in (0, 1):
        await page.get_by_role("checkbox").nth(number + 1).click()
    await page.get_by_role("button", name="Compare those chosen").click()
    await _shows_it(operator, ".sheet h2", times=2)
    await _shows_it(operator, ".sheet .line-text", times=2)

    await operator.opens("/console/figures")
    await operator.page.locator("[data-figure=knock-outs] .chart[aria-label*='src=x']").wait_for()
    # The tooltip is drawn as well, not written into the page.
    await operator.page.locator("[data-figure=knock-outs] .chart").hover()
    await _is_itself(page)


async def _somebody_tries_everything(cluster: Cluster) -> None:
    """Write markup wherever somebody can write anything."""

    async def send(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await cluster.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    await send("POST", "/v1/jobs", {"job_id": "markup", "title": MARKUP, "location": MARKUP})
    question = {"text": MARKUP, "type": "boolean", "must_have": True}
    await send("PUT", "/v1/jobs/markup/questions/permit", question)
    await send("PUT", "/v1/jobs/markup/questions/why", {"text": MARKUP, "type": "text"})
    for user_id in ("one", "another"):
        await send("PATCH", f"/v1/candidates/{user_id}", {"name": MARKUP})
        applied = await send("POST", "/v1/applications", {"job_id": "markup", "user_id": user_id})
        answers = {"answers": {"permit": False, "why": MARKUP}}
        path = f"/v1/applications/{applied['application_id']}"
        await send("PATCH", f"{path}/answers", answers)
        await send("POST", f"{path}/transition", {"to": "submitted", "by": "candidate"})
    session = "/v1/sessions/markup"
    await send("POST", "/v1/sessions", {"definition": "recruiting", "user_id": MARKUP, "session_id": "markup"})
    await send("POST", f"{session}/messages", {"text": MARKUP})
    await send("PUT", f"{session}/slots/role", {"value": MARKUP, "operator": MARKUP})
    await send("POST", f"{session}/hand-over", {"reason": MARKUP, "operator": MARKUP})
    await send("POST", f"{session}/operator-messages", {"text": MARKUP, "operator": MARKUP})


async def _shows_it(operator: Visitor, where: str, *, times: int = 1) -> None:
    """Wait until the markup stands there as a text, so often at least."""
    places = operator.page.locator(where, has_text=MARKUP)
    await places.nth(times - 1).wait_for()
    await _is_itself(operator.page)


async def _is_itself(page: Page) -> None:
    assert await page.evaluate("typeof taken") == "undefined"
    assert await page.locator("img[src=x], svg[onload]").count() == 0
