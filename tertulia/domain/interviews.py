"""An application that asks what a job wants to know: a definition with the job's questions among its slots."""

from tertulia.domain.definition import Definition
from tertulia.domain.jobs import Job, Question, QuestionType, slot_of
from tertulia.domain.slots import Slot

# A slot of this name is asked for where there is no job; where there is one its questions take the slot's place.
JOB_QUESTIONS = "job_questions"
JOB_TITLE = "job_title"


def about(definition: Definition, job: Job) -> Definition:
    """Let a definition ask a job's questions where it asks for `job_questions`, and speak of the job by its title.

    A question takes the place of a slot of its name.
    """
    if JOB_QUESTIONS not in definition.slots:
        return definition
    asked = tuple(question.qid for question in job.questions)
    others = {name: slot for name, slot in definition.slots.items() if name != JOB_QUESTIONS}
    states = {
        name: state.model_copy(update={"ask": _with_questions(state.ask, asked)})
        for name, state in definition.states.items()
    }
    changes = {
        "slots": others | {question.qid: _spoken(question) for question in job.questions},
        "states": states,
        "context": definition.context | ({JOB_TITLE: job.title} if JOB_TITLE in definition.context else {}),
    }
    return Definition(**{**dict(definition), **changes})


def _with_questions(ask: tuple[str, ...], asked: tuple[str, ...]) -> tuple[str, ...]:
    """Put the questions in the place of their slot, each once."""
    if JOB_QUESTIONS not in ask:
        return ask
    place = ask.index(JOB_QUESTIONS)
    return tuple(dict.fromkeys((*ask[:place], *asked, *ask[place + 1 :])))


def _spoken(question: Question) -> Slot:
    """Write a question as it is asked in a chat: with its choices, and understood by a provider where rules can't."""
    slot = slot_of(question)
    text = f"{question.text} ({', '.join(question.choices)})" if question.choices else question.text
    return slot.model_copy(update={"ask": text, "use_provider": question.type is not QuestionType.TEXT})
