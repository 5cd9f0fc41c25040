"""Handing over to sessions what people write on messengers: one step of it each."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import AwareDatetime
from temporalio import activity

from tertulia.domain import deliveries
from tertulia.domain.channels import Arrived, ChannelName, Chat, ChatId, ChatSession, NextArrival, Outgoing, Received
from tertulia.domain.conversation import Close, IncomingMessage, Opened, OpenSession, Payload, Role, SessionStatus
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.deliveries import ToDeliver
from tertulia.domain.errors import (
    ChannelFailure,
    DefinitionInvalid,
    InvalidInput,
    NotFound,
    SessionClosed,
    TooManyWaiting,
    TurnInProgress,
    Unavailable,
)
from tertulia.domain.ids import DefinitionName, MessageId, SessionId
from tertulia.domain.turns import SessionRecord
from tertulia.ports import (
    ChannelInbox,
    Couriers,
    Definitions,
    Messenger,
    Outbox,
    ResumeIntake,
    SessionRecords,
    Sessions,
    Transcripts,
)

# Larger than any file that is of use here.
MOST_FILE_BYTES = 5 * 1024 * 1024
# Longer texts are no answers; the file itself is kept whole.
_FILE_TEXT_CHARS = 15_000
# Sessions that end while a message is on its way to them, one after the other.
_SESSIONS_TRIED = 3
# Messages among which the last one of ours surely is.
_LAST_WORDS = 20
# Half a minute of trouble at the platform.
_ANSWERS_TRIED = 5


class ChatToTakeIn(Payload):
    chat_id: ChatId


class ArrivalRef(Payload):
    """A message that waits to be handed over, by reference."""

    chat_id: ChatId
    message_id: MessageId


class LeftMessage(Payload):
    """A message that a session has ended before, without a turn for it."""

    message_id: MessageId
    text: str
    arrived_at: AwareDatetime


class LeftBehind(Payload):
    """What a session has left without a turn.

    Attributes:
        language: The person's, where it is known.
    """

    session_id: SessionId
    messages: tuple[LeftMessage, ...]
    language: str | None = None


class ChannelIntakeActivities:
    """Hands over messages, each once and in order.

    Args:
        settle: How long a message waits for others that may belong before it.
    """

    def __init__(
        self,
        inbox: ChannelInbox,
        outbox: Outbox,
        sessions: Sessions,
        records: SessionRecords,
        transcripts: Transcripts,
        couriers: Couriers,
        messengers: Mapping[ChannelName, Messenger],
        resumes: ResumeIntake,
        definitions: Definitions,
        *,
        settle: timedelta,
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._sessions = sessions
        self._records = records
        self._transcripts = transcripts
        self._couriers = couriers
        self._messengers = messengers
        self._resumes = resumes
        self._definitions = definitions
        self._settle = settle

    @activity.defn
    async def next_arrival(self, chat: ChatToTakeIn) -> NextArrival | None:
        """Find the message that is to be handed over next; None where none waits."""
        return await self._inbox.next(chat.chat_id, self._settle)

    @activity.defn
    async def fetch_file(self, ref: ArrivalRef) -> None:
        """Fetch the file that a message has, keep it, and let the message say what the file says.

        Raises:
            ChannelFailure: It can't be fetched.
            Unavailable: The channel is not set up any more.
        """
        arrived = await self._inbox.read(ref.chat_id, ref.message_id)
        if arrived is None or arrived.message.attachment is None:
            return
        messenger = self._messengers.get(arrived.chat.channel)
        if messenger is None:
            raise Unavailable(arrived.chat.channel, "it is not set up")
        try:
            content = await messenger.fetch(arrived.message.attachment, MOST_FILE_BYTES)
            taken = await self._resumes.take(arrived.chat.tenant, arrived.chat.user_id, content)
        except InvalidInput as error:
            activity.logger.info("a file can't be used: %s", error.problem)
            await self._inbox.replace(ref.chat_id, ref.message_id, _without_file(arrived))
            return
        told = f"{arrived.message.text}\n\n{taken.text}".strip()
        await self._inbox.replace(ref.chat_id, ref.message_id, told[:_FILE_TEXT_CHARS])

    @activity.defn
    async def do_without_file(self, ref: ArrivalRef) -> None:
        """Let a message whose file can't be had say that there was one."""
        arrived = await self._inbox.read(ref.chat_id, ref.message_id)
        if arrived is not None:
            await self._inbox.replace(ref.chat_id, ref.message_id, _without_file(arrived))

    @activity.defn
    async def hand_over(self, ref: ArrivalRef) -> None:
        """Hand a message over to the chat's session, which is opened where there is none.

        Raises:
            Unavailable: It can't be at the moment.
        """
        arrived = await self._inbox.read(ref.chat_id, ref.message_id)
        if arrived is None:
            return
        for session_id in await self._outbox.holding(ref.chat_id):
            await self._couriers.wake_delivery(ToDeliver(session_id=session_id, up_to_turn=0, at=arrived.chat.heard_at))
        try:
            taken_by = await self._handed_over(arrived)
        except InvalidInput as error:
            await self._refuse(arrived)
            await self._inbox.settle(ref.chat_id, ref.message_id, session_id=None, note=str(error))
        except NotFound:
            activity.logger.info("a chat was erased while a message was on its way")
        else:
            note = "" if taken_by else "the session ended as it opened"
            await self._inbox.settle(ref.chat_id, ref.message_id, session_id=taken_by, note=note)

    @activity.defn
    async def put_back(self, left: LeftBehind) -> None:
        """Let what a session has left go to the chat's next one."""
        chat = await self._outbox.chat(left.session_id)
        if chat is None:
            return
        messages = [
            Received(
                message_id=message.message_id,
                person=chat.person,
                address=chat.address,
                position=0,
                sent_at=message.arrived_at,
                text=message.text,
                language=left.language,
            )
            for message in left.messages
        ]
        await self._inbox.put_back(chat.chat_id, left.session_id, messages)
        await self._couriers.wake_intake(chat.chat_id)

    async def _refuse(self, arrived: Arrived) -> None:
        """Tell a person that a message is not taken."""
        chat, message = arrived.chat, arrived.message
        if not message.text.strip():
            return
        try:
            definition = self._definition(chat)
        except Unavailable:
            activity.logger.warning("a person was not told that a message was refused: the application is gone")
            return
        await self._tell(arrived, definition.worded(message.language or "", chat.channel).prompts.too_long)

    async def _tell(self, arrived: Arrived, text: str, choices: tuple[str, ...] = ()) -> None:
        """Answer a message past its session, as far as the platform lets us: what comes next must not wait."""
        chat, messenger = arrived.chat, self._messengers.get(arrived.chat.channel)
        if messenger is None:
            return
        spoken = deliveries.Spoken(seq=0, text=text, choices=choices)
        try:
            for piece in deliveries.pieces(spoken, messenger.rules.text_limit):
                answer = Outgoing(
                    delivery_id=f"{arrived.message.message_id}/{piece.part}",
                    address=chat.address,
                    text=text[piece.start : piece.end],
                    choices=piece.choices,
                )
                await messenger.send(answer)
        except ChannelFailure as failure:
            if deliveries.is_worth_a_retry(failure) and activity.info().attempt < _ANSWERS_TRIED:
                raise
            activity.logger.warning("a message was not answered: %s", failure.problem)

    async def _handed_over(self, arrived: Arrived) -> SessionId | None:
        """Return the session that has a message; None where its own has ended as it opened, and said all by that."""
        chat_id, message_id, ended = arrived.chat.chat_id, arrived.message.message_id, 0
        for _ in range(_SESSIONS_TRIED):
            session = await self._inbox.session(chat_id, after=ended, opened_by=message_id)
            try:
                return session.session_id if await self._say(session, arrived) else None
            except (SessionClosed, NotFound):
                # Ended, which Temporal forgets after a while, or erased. It may be this very message that has ended the
                # session, before that could be written down.
                if await self._transcripts.turn_of(session.session_id, message_id):
                    return session.session_id
                ended = session.number
            except (TooManyWaiting, TurnInProgress) as error:
                raise Unavailable("the session", str(error)) from error
        raise Unavailable("the session", "it ends again and again")

    async def _say(self, session: ChatSession, arrived: Arrived) -> bool:
        """Say a message in a session; False where the session has ended as it opened."""
        message = arrived.message
        if session.opened_by == message.message_id:
            opened = await self._open(session, arrived)
            if opened.next_action.kind == "none" and await self._open_record(session) is None:
                return False
        elif message.only_opens:
            await self._begin_again(session, arrived)
        if not message.only_opens:
            said = IncomingMessage(text=message.text, message_id=message.message_id)
            await self._sessions.submit(session.session_id, said)
        return True

    async def _begin_again(self, session: ChatSession, arrived: Arrived) -> None:
        """Put the last words again to who begins a conversation that is under way; one about another job ends it.

        Raises:
            SessionClosed: It has ended.
        """
        record = await self._open_record(session)
        if record is None:
            raise SessionClosed("the session is closed")
        if arrived.message.job_id not in {None, record.job_id}:
            await self._sessions.close(session.session_id, Close(reason="the person began one about another job"))
            raise SessionClosed("the session is closed")
        window = await self._transcripts.window(
            session.session_id, up_to_turn=record.turn, limit=_LAST_WORDS, withdrawn=False
        )
        shown = [message for message in window if message.role is not Role.USER]
        if shown:
            await self._tell(arrived, shown[-1].text, record.next_action.choices if record.next_action else ())

    async def _open_record(self, session: ChatSession) -> SessionRecord | None:
        record = await self._records.get(session.session_id)
        return record if record and record.status is SessionStatus.OPEN else None

    async def _open(self, session: ChatSession, arrived: Arrived) -> Opened:
        chat, message = arrived.chat, arrived.message
        # Each attempt to open a session with what can't be used would leave a failed one behind.
        self._definition(chat)
        opening = OpenSession(
            definition=chat.definition,
            tenant=chat.tenant,
            user_id=chat.user_id,
            channel=chat.channel,
            channel_user_id=chat.address,
            job_id=message.job_id,
            context={"language": message.language} if message.language else {},
        )
        return await self._sessions.open(session.session_id, opening)

    def _definition(self, chat: Chat) -> Definition:
        """Return the application that a chat is about.

        Raises:
            Unavailable: It can't be used. Whoever set up the channel can mend that, and then nothing is lost.
        """
        try:
            return self._definitions.get(DefinitionName(chat.definition))
        except (NotFound, DefinitionInvalid) as error:
            raise Unavailable("the application", str(error)) from error


def _without_file(arrived: Arrived) -> str:
    attachment = arrived.message.attachment
    return arrived.message.text or f"[{attachment.kind if attachment else 'file'}]"
