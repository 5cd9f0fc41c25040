"""`/console/definitions`: the applications on offer, as pictures, with how many people are in each state."""

from nicegui import ui

from tertulia.console.door import Operator, console_page
from tertulia.console.frame import DIAGRAMS, done, facts, frame, heading, panel
from tertulia.console.ports import pages
from tertulia.domain.conversation import CANDIDATE, SessionStatus
from tertulia.domain.definitions.checks import inconsistencies
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.definitions.diagram import diagram
from tertulia.domain.errors import DefinitionInvalid
from tertulia.domain.ids import DefinitionName

_EVERY_S = 5.0


def add() -> None:
    """Add the pages to the application."""
    console_page("/console/definitions")(_definitions)
    console_page("/console/definitions/{name}")(_definition)


async def _definitions(_: Operator) -> None:
    with frame("Applications", "Applications"):
        heading("Applications", hint="Each is a YAML file; a session keeps the one that it began with.")
        with ui.element("ul").classes("offers"):
            for name in sorted(pages().api.definitions.names()):
                with ui.element("li"), ui.link(target=f"/console/definitions/{name}"):
                    try:
                        definition = pages().api.definitions.get(name)
                    except DefinitionInvalid as error:
                        ui.label(name).classes("offer-title")
                        ui.label(f"can't be used: {len(error.places)} problems").classes("soft")
                        continue
                    ui.label(definition.title).classes("offer-title")
                    ui.label(f"{name}, version {definition.version} · {len(definition.states)} states").classes("soft")


async def _definition(operator: Operator, name: str) -> None:
    if name not in pages().api.definitions.names():
        with frame("No such application", "Applications"):
            heading("There is no such application")
        return
    try:
        definition = pages().api.definitions.get(DefinitionName(name))
    except DefinitionInvalid as error:
        with frame(name, "Applications"):
            heading(name, hint="This application can't be used: sessions under way go on, and new ones are refused.")
            with ui.element("ul"):
                for place in error.places:
                    with ui.element("li"):
                        ui.label(place)
        return
    with frame(definition.title, "Applications"):
        with ui.element("div").classes("heading-row"):
            heading(definition.title, hint=f"{name}, version {definition.version}")
            if definition.role == CANDIDATE and (chat := pages().chat(operator.tenant, name)):
                ui.link("Try it in the chat →", chat, new_tab=True)
        with panel("States"):
            ui.mermaid(diagram(definition), config=DIAGRAMS).classes("wide-diagram")
        with ui.element("div").classes("halves even"):
            with panel("Open sessions by state"):
                counts = ui.element("div")
            with panel("Checks"):
                _show_checks(definition)

    async def look() -> None:
        counted = await pages().api.records.count_by_state(
            operator.tenant, definition=DefinitionName(name), status=SessionStatus.OPEN
        )
        told = {state: str(count) for state, count in counted.items()}
        counts.clear()
        with counts:
            if told:
                facts(told)
            else:
                ui.label("Nobody is in a session just now.").classes("soft")

    await done(look())
    operator.every(_EVERY_S, look)


def _show_checks(definition: Definition) -> None:
    found = inconsistencies(definition)
    if not found:
        ui.label("Every state, slot and placeholder that it mentions exists.").classes("fine")
    for problem in found:
        ui.label(f"{'.'.join(map(str, problem.path))}: {problem.what}").classes("problem")
