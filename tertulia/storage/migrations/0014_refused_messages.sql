-- Messages that a session had taken and ended before, without a turn for them. What they say is not kept: whoever sent
-- them learns that they were not answered.
CREATE TABLE refused_messages (
    session_id text NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
    message_id text NOT NULL,
    PRIMARY KEY (session_id, message_id)
);
