"""Chats about a job: they ask the job's questions, and nothing that is known of the person already."""

from pydantic import JsonValue

from tertulia.domain.definitions.definition import Definition
from tertulia.domain.recruiting.jobs import Job, Question, QuestionType, slot_of
from tertulia.domain.recruiting.profiles import Profile, facts
from tertulia.domain.recruiting.resumes import StoredResume
from tertulia.domain.slots import Slot, document_of_file

# What a definition may call the job: in its context, and in a slot that asks for it.
JOB_TITLE = "job_title"
ROLE = "role"


def is_interview(definition: Definition) -> bool:
    """Tell whether a definition has a state that asks the questions of a job."""
    return any(state.ask_job_questions for state in definition.states.values())


def about(definition: Definition, job: Job) -> Definition:
    """Let a definition ask a job's questions, score by them alone, and speak of the job by its title.

    A question takes the place of a slot of its name. Slots that nothing asks for or mentions any more are left out.
    """
    if not is_interview(definition):
        return definition
    qids = tuple(question.qid for question in job.questions)
    states = {
        name: state.model_copy(update={"ask": qids}) if state.ask_job_questions else state
        for name, state in definition.states.items()
    }
    asked_no_more = definition.asked - {slot for state in states.values() for slot in state.ask}
    gone = {slot for slot in asked_no_more if not definition.decided_by(slot)}
    others = {
        name: slot.model_copy(update={"score": None}) for name, slot in definition.slots.items() if name not in gone
    }
    changes = {
        "slots": others | {question.qid: _spoken(question) for question in job.questions},
        "states": states,
        "results": _results(definition, gone, qids),
        "context": definition.context | ({JOB_TITLE: job.title} if JOB_TITLE in definition.context else {}),
    }
    # Made anew, for what a definition has worked out about itself is kept in it.
    unchanged = {name: getattr(definition, name) for name in Definition.model_fields}
    return Definition(**{**unchanged, **changes})


def known(definition: Definition, profile: Profile, resume: StoredResume | None) -> dict[str, JsonValue]:
    """Collect what need not be asked, by the names of slots: the profile, earlier answers, the résumé.

    It is checked like whatever a session is opened with, so that what does not fit a slot is asked for.
    """
    document = definition.document_slot
    file = {document: document_of_file(resume.media_type, resume.size_bytes)} if document and resume else {}
    return {**file, **facts(profile), **profile.answers}


def _results(definition: Definition, gone: set[str], qids: tuple[str, ...]) -> tuple[str, ...] | None:
    if definition.results is None:
        return None
    return tuple(dict.fromkeys((*(name for name in definition.results if name not in gone), *qids)))


def _spoken(question: Question) -> Slot:
    """Write a question as it is asked in a chat: with its choices, and understood by a provider where rules can't."""
    slot = slot_of(question)
    text = f"{question.text} ({', '.join(question.choices)})" if question.choices else question.text
    return slot.model_copy(update={"ask": text, "use_provider": question.type is not QuestionType.TEXT})
