-- What figures are worked out of. Each fact is written with the turn that makes it, and goes when the turn is replaced.

-- Who talks, where and about what, as one number: figures are asked for by it, and indexes of it stay narrow.
CREATE TABLE segments (
    segment    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     text NOT NULL,
    definition text NOT NULL,
    job_id     text,
    channel    text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant, definition, job_id, channel)
);
INSERT INTO segments (tenant, definition, job_id, channel)
SELECT DISTINCT tenant, definition, job_id, channel FROM sessions;

-- `standing` is what the session wants of the person, or wanted when it closed.
ALTER TABLE sessions
    ADD COLUMN segment integer REFERENCES segments,
    ADD COLUMN standing text NOT NULL DEFAULT 'talking',
    ADD COLUMN stays_in text COLLATE "C", -- names are grouped by what they are, not by how a language sorts them
    ADD COLUMN stays_since timestamptz,
    ADD COLUMN handed_over boolean NOT NULL DEFAULT false;

UPDATE sessions
SET segment = segments.segment,
    standing = CASE next_action ->> 'kind' WHEN 'answer' THEN 'asking' WHEN 'retry' THEN 'asking' ELSE 'talking' END,
    handed_over = sessions.owner = 'human'
FROM segments
WHERE (segments.tenant, segments.definition, segments.channel)
      = (sessions.tenant, sessions.definition, sessions.channel)
  AND segments.job_id IS NOT DISTINCT FROM sessions.job_id;

ALTER TABLE sessions
    ALTER COLUMN segment SET NOT NULL,
    ADD CONSTRAINT sessions_standing_check CHECK (standing IN ('asking', 'talking', 'complete'));
CREATE INDEX sessions_of_segment ON sessions (segment, created_at);

-- `heard_slot` is what the person was asked for, `asked_slot` what the turn ends with asking for.
ALTER TABLE turns
    ADD COLUMN segment integer,
    ADD COLUMN response_ms integer,
    ADD COLUMN from_person integer,
    ADD COLUMN from_assistant integer,
    ADD COLUMN from_operator integer,
    ADD COLUMN heard_slot text COLLATE "C",
    ADD COLUMN heard_as text COLLATE "C",
    ADD COLUMN asked_slot text COLLATE "C";

UPDATE turns
SET segment = sessions.segment, from_person = said.by_person, from_assistant = said.by_assistant,
    from_operator = said.by_operator, asked_slot = turns.reply -> 'next_action' ->> 'slot',
    response_ms = CASE WHEN said.by_person > 0 AND said.by_assistant > 0
                  THEN greatest(0, round(extract(epoch FROM turns.ended_at - said.first_arrived) * 1000)) END
FROM sessions
JOIN LATERAL (
    SELECT turn, count(*) FILTER (WHERE role = 'user') AS by_person,
           count(*) FILTER (WHERE role = 'assistant') AS by_assistant,
           count(*) FILTER (WHERE role = 'operator') AS by_operator,
           min(created_at) FILTER (WHERE role = 'user') AS first_arrived
    FROM messages
    WHERE messages.session_id = sessions.session_id
    GROUP BY turn
) AS said ON true
WHERE turns.session_id = sessions.session_id AND turns.turn = said.turn AND turns.ended_at IS NOT NULL;
UPDATE turns
SET segment = sessions.segment, from_person = 0, from_assistant = 0, from_operator = 0
FROM sessions
WHERE turns.session_id = sessions.session_id AND turns.ended_at IS NOT NULL AND turns.segment IS NULL;

ALTER TABLE turns
    ADD CONSTRAINT turns_heard_as_check
        CHECK (heard_as IN ('answered', 'not_understood', 'declined', 'skipped', 'asked_again', 'left')),
    ADD CHECK ((heard_slot IS NULL) = (heard_as IS NULL)),
    ADD CHECK ((ended_at IS NULL) = (segment IS NULL));
-- Everything that is counted of turns; they themselves are wide.
CREATE INDEX turns_of_segment ON turns (segment, ended_at)
INCLUDE (response_ms, from_person, from_assistant, from_operator, heard_slot, heard_as, asked_slot)
WHERE ended_at IS NOT NULL;

-- The ways of sessions through their states. A passage has no `source` at the opening, and no `target` at the close.
CREATE TABLE passages (
    session_id text NOT NULL,
    turn       integer NOT NULL,
    position   integer NOT NULL,
    segment    integer NOT NULL,
    opened_at  timestamptz NOT NULL, -- the session was
    at         timestamptz NOT NULL,
    source     text COLLATE "C",
    target     text COLLATE "C",
    first      boolean NOT NULL, -- the session enters `target` for the first time
    stayed_ms  bigint,
    PRIMARY KEY (session_id, turn, position),
    FOREIGN KEY (session_id, turn) REFERENCES turns ON DELETE CASCADE
);
CREATE INDEX passages_of_segment ON passages (segment, opened_at) INCLUDE (source, target, first, stayed_ms);

-- Attempts outlive their sessions, and so does what they were made for.
ALTER TABLE attempts ADD COLUMN segment integer;
UPDATE attempts SET segment = sessions.segment FROM sessions WHERE sessions.session_id = attempts.session_id;
CREATE INDEX attempts_of_tenant ON attempts (tenant, ended_at)
INCLUDE (segment, provider, failure, ttft_ms, latency_ms, cost_usd, session_id);

-- An index-only scan looks into the table wherever a page has changed since the last vacuum, so that is to be soon.
ALTER TABLE turns SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE passages SET (autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE attempts SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
