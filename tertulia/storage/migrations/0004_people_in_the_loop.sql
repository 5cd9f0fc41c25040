-- What people do in a session besides the person who chats.

-- What a human has to know, as long as one has the session.
ALTER TABLE sessions ADD COLUMN hand_over jsonb;

-- Whatever has the session in human hands says nothing of its own.
ALTER TABLE turns
    DROP CONSTRAINT turns_status_check,
    ADD CONSTRAINT turns_status_check
    CHECK (status IN ('running', 'answered', 'failed', 'cancelled', 'interrupted', 'handed_over'));

-- The turn that has undone a message, or written it anew.
ALTER TABLE messages ADD COLUMN withdrawn_in integer;
CREATE INDEX messages_withdrawn ON messages (session_id, withdrawn_in) WHERE withdrawn_in IS NOT NULL;

-- What an operator did in the turn. The order's id deduplicates for ever, as a message's does.
ALTER TABLE turns ADD COLUMN intervention jsonb;
ALTER TABLE turns ADD COLUMN request_id text GENERATED ALWAYS AS (intervention ->> 'request_id') STORED;
CREATE UNIQUE INDEX turns_of_requests ON turns (session_id, request_id) WHERE request_id IS NOT NULL;
