-- Each session's workflow is its only writer, and its history is the truth: these tables are what reads see of it.

-- `json` keeps the content as it was written, so that its hash stays true.
CREATE TABLE definitions (
    hash       text PRIMARY KEY,
    name       text NOT NULL,
    content    json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- `turn` is the last one that ended, `latest_turn` the last one that began; `updated_at` is the workflow's time.
CREATE TABLE sessions (
    session_id      text PRIMARY KEY,
    tenant          text NOT NULL,
    user_id         text NOT NULL,
    channel         text NOT NULL,
    channel_user_id text,
    role            text NOT NULL,
    definition      text NOT NULL,
    definition_hash text NOT NULL REFERENCES definitions (hash),
    job_id          text,
    context         jsonb NOT NULL,
    state           text NOT NULL,
    status          text NOT NULL CHECK (status IN ('open', 'closed')),
    owner           text NOT NULL CHECK (owner IN ('bot', 'human')),
    turn            integer NOT NULL,
    latest_turn     integer NOT NULL,
    slots           jsonb NOT NULL,
    next_action     jsonb,
    closed_reason   text,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 80); -- rows are updated twice a turn, mostly in place

-- For lists, newest first.
CREATE INDEX sessions_newest ON sessions (created_at, session_id);
CREATE INDEX sessions_of_tenant ON sessions (tenant, created_at, session_id);
CREATE INDEX sessions_of_user ON sessions (user_id, created_at, session_id);
CREATE INDEX sessions_in_state ON sessions (state, created_at, session_id);
CREATE INDEX sessions_of_definition ON sessions (definition, created_at, session_id);

CREATE TABLE turns (
    session_id   text NOT NULL REFERENCES sessions ON DELETE CASCADE,
    turn         integer NOT NULL CHECK (turn >= 0),
    status       text NOT NULL
                 CHECK (status IN ('running', 'answered', 'failed', 'cancelled', 'interrupted')),
    message_ids  jsonb NOT NULL,
    reply        jsonb,
    state_before text,
    state_after  text,
    passed_over  jsonb NOT NULL DEFAULT '[]',
    tried        jsonb NOT NULL DEFAULT '[]',
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    PRIMARY KEY (session_id, turn),
    CHECK ((status = 'running') = (ended_at IS NULL)),
    CHECK ((status = 'running') = (reply IS NULL))
) WITH (fillfactor = 80); -- every row is updated once, when the turn ends

-- A message goes with its turn. `message_id` is the client's own id for it, and deduplicates for ever.
CREATE TABLE messages (
    session_id text NOT NULL,
    seq        integer NOT NULL CHECK (seq >= 1),
    turn       integer NOT NULL,
    role       text NOT NULL CHECK (role IN ('user', 'assistant', 'operator', 'system')),
    text       text NOT NULL,
    created_at timestamptz NOT NULL,
    message_id text,
    PRIMARY KEY (session_id, seq),
    UNIQUE (session_id, message_id),
    FOREIGN KEY (session_id, turn) REFERENCES turns ON DELETE CASCADE
);
CREATE INDEX messages_of_turn ON messages (session_id, turn);

-- Every attempt at a provider, whatever became of it; `ended_at` is missing while it runs, or where its worker died.
CREATE TABLE attempts (
    session_id        text NOT NULL REFERENCES sessions ON DELETE CASCADE,
    turn              integer NOT NULL,
    ask               integer NOT NULL CHECK (ask >= 1),
    provider          text NOT NULL,
    attempt           integer NOT NULL CHECK (attempt >= 1),
    started_at        timestamptz NOT NULL,
    ended_at          timestamptz,
    failure           text
                      CHECK (failure IN ('connect', 'timeout', 'server', 'overloaded', 'truncated', 'malformed',
                                         'rate_limit', 'quota', 'billing', 'auth', 'context_length', 'content_policy',
                                         'bad_request', 'config', 'cancelled')),
    status            integer,
    detail            text NOT NULL DEFAULT '',
    model             text NOT NULL DEFAULT '',
    request_id        text,
    ttft_ms           double precision,
    latency_ms        double precision,
    input_uncached    bigint NOT NULL DEFAULT 0,
    input_cached      bigint NOT NULL DEFAULT 0,
    input_cache_write bigint NOT NULL DEFAULT 0,
    output_visible    bigint NOT NULL DEFAULT 0,
    output_reasoning  bigint NOT NULL DEFAULT 0,
    usage_source      text NOT NULL DEFAULT 'absent' CHECK (usage_source IN ('reported', 'estimated', 'absent')),
    cost_usd          numeric,
    PRIMARY KEY (session_id, turn, ask, provider, attempt),
    CHECK ((ended_at IS NULL) = (latency_ms IS NULL))
);

CREATE TABLE provider_health (
    provider      text PRIMARY KEY,
    status        text NOT NULL CHECK (status IN ('healthy', 'degraded', 'unhealthy', 'maintenance')),
    failed_probes integer NOT NULL CHECK (failed_probes >= 0),
    latency_ms    double precision,
    detail        text NOT NULL,
    checked_at    timestamptz NOT NULL
);

-- Streamed text while it is shown. Unlogged: a crash of the server empties it, and nothing is lost but the show.
CREATE UNLOGGED TABLE stream_deltas (
    session_id  text NOT NULL,
    turn        integer NOT NULL,
    attempt     integer NOT NULL,
    text_offset integer NOT NULL,
    text        text NOT NULL,
    PRIMARY KEY (session_id, turn, attempt, text_offset)
);
