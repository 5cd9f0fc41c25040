"""Workers crash, freeze, and do things again; what is stored in the end is what the workflow's history says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.conversation import Action, Intervention
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.turns import BeginTurn, EndTurn, Withdrawal
from tertulia.storage.pool import Pool
from tertulia.storage.turns import PostgresTurns

from .examples import begin, end, opened, rows, said, shown

_numbers = count()


@dataclass(frozen=True)
class Step:
    """One call of a workflow, and what it knows once that is in its history.

    Attributes:
        answered: Ids in a `begin` that an earlier turn has answered.
        seq: The last message's number after the call.
        waiting: Messages that have had no turn.
    """

    call: BeginTurn | EndTurn
    answered: frozenset[str]
    seq: int
    waiting: tuple[str, ...]


@dataclass
class Simulation:
    """One session, and the workers that take turns at it. Minutes only go forward, from worker to worker too."""

    random: Random
    turns: PostgresTurns
    session_id: SessionId
    minute: float = 0
    latest_turn: int = 0
    history: list[Step] = field(default_factory=list)
    earlier: list[BeginTurn | EndTurn] = field(default_factory=list)

    async def run(self) -> None:
        for _ in range(self.random.randint(0, 4)):
            await self.work(crash=True)
        await self.work(crash=False)

    async def work(self, *, crash: bool) -> None:
        """Go on from where the history ends. Of what a crashing worker does, the history has only the first part."""
        self.minute += 10
        steps = self.plan()
        done = self.random.randint(0, len(steps)) if crash else len(steps)
        recorded = self.random.randint(0, done) if crash else len(steps)
        for step in steps[:done]:
            await self.perform(step)
            await self.wake_a_frozen_worker()
        self.history += steps[:recorded]
        self.earlier += [step.call for step in steps]

    def plan(self) -> list[Step]:
        """Decide anew on everything that the history has not decided: which messages come, in which order."""
        last = self.history[-1] if self.history else None
        waiting = list(last.waiting) if last else [f"m{number}" for number in range(4)]
        seq = last.seq if last else 0
        steps: list[Step] = []
        number = last.call.turn if last else 0
        if last and last.answered:
            number -= 1
        elif last and isinstance(last.call, BeginTurn):
            steps.append(self.end(number, [m.message_id or "" for m in last.call.messages], seq, waiting))
        while waiting:
            number += 1
            seq = steps[-1].seq if steps else seq
            if self.random.random() < 0.2:
                steps.append(self.end(number, [], seq, waiting))
                continue
            self.random.shuffle(waiting)
            ids = [waiting.pop() for _ in range(self.random.randint(1, len(waiting)))]
            steps += self.turn(number, ids, self.answered(steps), seq, waiting)
        return steps

    def answered(self, steps: Sequence[Step]) -> list[str]:
        return [
            message_id
            for step in (*self.history, *steps)
            if isinstance(step.call, EndTurn)
            for message_id in step.call.message_ids
        ]

    def turn(
        self, number: int, ids: list[str], answered: Sequence[str], seq: int, waiting: Sequence[str]
    ) -> list[Step]:
        """A turn for some messages, with which one that was answered long ago may come again."""
        steps = []
        if answered and self.random.random() < 0.3:
            again = self.random.choice(answered)
            steps.append(self.begin(number, [again, *ids], seq, (*waiting, *ids), answered=frozenset({again})))
        steps.append(self.begin(number, ids, seq + len(ids), waiting))
        steps.append(self.end(number, ids, seq + len(ids), waiting))
        return steps

    def begin(
        self, number: int, ids: list[str], seq: int, waiting: Sequence[str], answered: frozenset[str] = frozenset()
    ) -> Step:
        first = seq + 1 if answered else seq - len(ids) + 1
        messages = [said(message_id, first + place, number, minute=self.tick()) for place, message_id in enumerate(ids)]
        call = begin(number, *messages, minute=self.tick(), session_id=self.session_id)
        return Step(call, answered, seq, tuple(waiting))

    def end(self, number: int, ids: list[str], seq: int, waiting: Sequence[str]) -> Step:
        said_back = [
            shown(seq + place, number, text=f"{number}.{place} by {self.minute}", minute=self.minute)
            for place in range(1, self.random.randint(0, 2) + 1)
        ]
        evidence = {} if ids or number < 2 else self.undo(number)
        minute, state = self.tick(), f"s{self.minute}"
        call = end(number, *said_back, ids=ids, minute=minute, session_id=self.session_id, state=state, **evidence)
        return Step(call, frozenset(), seq + len(said_back), tuple(waiting))

    def undo(self, number: int) -> dict[str, Any]:
        """What a turn that takes earlier ones back has besides."""
        first = self.random.randint(1, number - 1)
        return {
            "intervention": Intervention(action=Action.UNDO, request_id=MessageId(f"r{self.tick()}"), since=first),
            "withdraws": Withdrawal(first=first, last=number - 1, replies_only=self.random.random() < 0.3),
        }

    def tick(self) -> float:
        self.minute += 0.01
        return self.minute

    async def perform(self, step: Step) -> None:
        for _ in range(self.random.choice([1, 1, 2])):
            assert await self.send(step.call) == step.answered
        self.latest_turn = step.call.turn

    async def wake_a_frozen_worker(self) -> None:
        """Send a call of an earlier worker, as far as the session has come by then."""
        late = [call for call in self.earlier if call.turn <= self.latest_turn]
        if late and self.random.random() < 0.3:
            await self.send(self.random.choice(late))

    async def send(self, call: BeginTurn | EndTurn) -> set[str]:
        if isinstance(call, BeginTurn):
            return set(await self.turns.begin(call))
        await self.turns.end(call)
        return set()


@settings(max_examples=80)
@given(seed=st.integers(min_value=0, max_value=2**32))
async def test_whatever_is_done_again_the_stored_session_is_the_one_of_the_history(pool: Pool, seed: int) -> None:
    crashing, clean = (SessionId(f"{name}-{next(_numbers)}") for name in ("crashing", "clean"))
    simulation = Simulation(Random(seed), await opened(pool, crashing), crashing)
    await simulation.run()

    turns = await opened(pool, clean)
    for step in simulation.history:
        call = step.call.model_copy(update={"session_id": clean})
        await (turns.begin(call) if isinstance(call, BeginTurn) else turns.end(call))

    stored = await rows(pool, crashing)
    assert stored == await rows(pool, clean)
    assert [message["seq"] for message in stored["messages"]] == list(range(1, len(stored["messages"]) + 1))
    assert {message["message_id"] for message in stored["messages"]} >= {"m0", "m1", "m2", "m3"}
