-- Whatever becomes known of a session gets the session's next number, under the lock of its row: readers go on behind
-- the last number they have had. What is replaced goes with its numbers, and what replaces it gets new ones, so that
-- a later turn's numbers are always higher than an earlier one's.

-- The last number that was given.
ALTER TABLE sessions ADD COLUMN event bigint NOT NULL DEFAULT 0;

-- A turn without messages and questions to a provider only ends; `waits_event` is that of its latest wait. The end of a
-- session is the event behind its last turn's end.
ALTER TABLE turns
    ADD COLUMN begun_event bigint,
    ADD COLUMN waits_event bigint,
    ADD COLUMN ended_event bigint;

ALTER TABLE messages ADD COLUMN event bigint;

-- What is there already, in the order in which it came.
CREATE TEMPORARY TABLE numbered ON COMMIT DROP AS
SELECT session_id, turn, step, seq, row_number() OVER (PARTITION BY session_id ORDER BY turn, step, seq) AS event
FROM (
    SELECT session_id, turn, 0 AS step, 0 AS seq FROM turns WHERE message_ids <> '[]' OR status = 'running'
    UNION ALL
    SELECT session_id, turn, CASE role WHEN 'user' THEN 1 ELSE 2 END, seq FROM messages
    UNION ALL
    SELECT session_id, turn, 3, 0 FROM turns WHERE status <> 'running'
) AS facts;

UPDATE turns SET begun_event = event FROM numbered
WHERE numbered.session_id = turns.session_id AND numbered.turn = turns.turn AND step = 0;
UPDATE turns SET ended_event = event FROM numbered
WHERE numbered.session_id = turns.session_id AND numbered.turn = turns.turn AND step = 3;
UPDATE messages SET event = numbered.event FROM numbered
WHERE numbered.session_id = messages.session_id AND numbered.seq = messages.seq AND step IN (1, 2);
UPDATE sessions SET event = latest + CASE status WHEN 'closed' THEN 1 ELSE 0 END
FROM (SELECT session_id, max(event) AS latest FROM numbered GROUP BY session_id) AS known
WHERE known.session_id = sessions.session_id;

ALTER TABLE turns ADD CHECK (status <> 'running' OR (begun_event IS NOT NULL AND ended_event IS NULL));
ALTER TABLE messages ALTER COLUMN event SET NOT NULL;
