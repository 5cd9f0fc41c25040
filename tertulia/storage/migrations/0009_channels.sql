-- Conversations on messengers. Who somebody is there stands in `channel_chats` and in the session's row, nowhere else.

CREATE TABLE channel_chats (
    chat_id    text PRIMARY KEY,
    channel    text NOT NULL CHECK (channel IN ('whatsapp', 'telegram')),
    person     text NOT NULL,
    address    text NOT NULL,
    definition text NOT NULL,
    user_id    text NOT NULL,
    heard_at   timestamptz NOT NULL,               -- by the platform's clock
    taken_at   timestamptz NOT NULL DEFAULT now(), -- by ours
    UNIQUE (channel, person, definition)
);

-- A chat whose session has ended goes on in the next one. The row is there before the session is.
CREATE TABLE channel_sessions (
    session_id text PRIMARY KEY,
    chat_id    text NOT NULL REFERENCES channel_chats ON DELETE CASCADE,
    number     integer NOT NULL CHECK (number >= 1),
    opened_by  text NOT NULL,
    UNIQUE (chat_id, number)
);

-- What people have written, until it is handed over to the session; the row remains, and deduplicates for ever.
CREATE TABLE channel_messages (
    chat_id     text NOT NULL REFERENCES channel_chats ON DELETE CASCADE,
    message_id  text NOT NULL,
    position    bigint NOT NULL,
    arrival     bigint GENERATED ALWAYS AS IDENTITY,
    received_at timestamptz NOT NULL DEFAULT now(),
    message     jsonb,
    session_id  text,
    note        text NOT NULL DEFAULT '',
    settled_at  timestamptz,
    PRIMARY KEY (chat_id, message_id),
    CHECK ((message IS NULL) = (settled_at IS NOT NULL))
);
CREATE INDEX channel_messages_waiting ON channel_messages (chat_id, position, arrival) WHERE settled_at IS NULL;

-- What was said is in `messages`; here is only which part of it goes, and what became of that.
CREATE TABLE deliveries (
    session_id   text NOT NULL REFERENCES sessions ON DELETE CASCADE,
    seq          integer NOT NULL,
    part         integer NOT NULL CHECK (part >= 1),
    text_start   integer NOT NULL,
    text_end     integer NOT NULL,
    choices      jsonb NOT NULL,
    unprompted   boolean NOT NULL,
    status       text NOT NULL
                 CHECK (status IN ('waiting', 'sending', 'held', 'skipped', 'sent', 'delivered', 'read', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    uncertain    integer NOT NULL DEFAULT 0,
    by_template  boolean NOT NULL DEFAULT false,
    late         boolean NOT NULL DEFAULT false,
    problem      text,
    detail       text NOT NULL DEFAULT '',
    platform_id  text,
    planned_at   timestamptz NOT NULL,
    attempted_at timestamptz,
    sent_at      timestamptz,
    delivered_at timestamptz,
    read_at      timestamptz,
    failed_at    timestamptz,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, seq, part)
) WITH (fillfactor = 70); -- rows are updated a few times, in place
CREATE INDEX deliveries_by_platform_id ON deliveries (platform_id);
