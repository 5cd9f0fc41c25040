-- Tickets with which a browser comes back to its chat. A ticket itself is nowhere: it is random enough that a plain
-- digest gives nothing away.
CREATE TABLE tickets (
    digest     bytea PRIMARY KEY,
    session_id text NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL
);
CREATE INDEX tickets_of_session ON tickets (session_id);
