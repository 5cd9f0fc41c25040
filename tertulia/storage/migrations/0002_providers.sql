-- What all workers know of the providers together. What is decided stands in few rows that change seldom; everything
-- statistical is computed from the ledger of attempts.

-- Configurations given at runtime; they go over those of the environment. Without a `config` the provider was removed.
CREATE TABLE providers (
    provider        text PRIMARY KEY,
    config          jsonb,
    sealed_key      bytea,
    key_fingerprint text,
    updated_at      timestamptz NOT NULL,
    CHECK ((sealed_key IS NULL) = (key_fingerprint IS NULL)),
    CHECK (config IS NOT NULL OR sealed_key IS NULL)
);

CREATE TABLE provider_state (
    provider   text PRIMARY KEY,
    state      jsonb NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 50); -- rows are updated in place

DROP TABLE provider_health; -- the state has more

CREATE TABLE provider_history (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    at       timestamptz NOT NULL,
    reason   text NOT NULL,
    before   jsonb NOT NULL,
    after    jsonb NOT NULL
);
CREATE INDEX provider_history_newest ON provider_history (provider, id);

-- One row per call that may be under way at a time, made when first needed and never removed. Slot 0 is the canary's.
CREATE TABLE provider_slots (
    provider   text NOT NULL,
    slot       integer NOT NULL CHECK (slot >= 0),
    attempt_id text,
    expires_at timestamptz,
    silent     boolean NOT NULL DEFAULT false, -- at its last renewal the call had had no text yet
    PRIMARY KEY (provider, slot),
    CHECK ((attempt_id IS NULL) = (expires_at IS NULL))
) WITH (fillfactor = 20); -- rows are updated twice a call, in place

-- The ledger outlives the sessions: what was spent stays spent.
ALTER TABLE attempts
    DROP CONSTRAINT attempts_pkey,
    DROP CONSTRAINT attempts_session_id_fkey,
    DROP CONSTRAINT attempts_failure_check,
    ALTER COLUMN session_id DROP NOT NULL,
    ADD COLUMN attempt_id text,
    ADD COLUMN tenant text NOT NULL DEFAULT 'default',
    ADD COLUMN slot integer,
    ADD COLUMN is_retry boolean NOT NULL DEFAULT false,
    ADD COLUMN reserved_usd numeric NOT NULL DEFAULT 0,
    ADD COLUMN cost_at_most_usd numeric,
    ADD COLUMN cost_source text NOT NULL DEFAULT 'unknown',
    ADD COLUMN limits_remaining double precision,
    ADD COLUMN limits_until timestamptz;

UPDATE attempts
SET attempt_id = concat_ws('/', session_id, turn, ask, provider, attempt), cost_at_most_usd = cost_usd,
    tenant = (SELECT tenant FROM sessions WHERE sessions.session_id = attempts.session_id);

ALTER TABLE attempts
    ADD PRIMARY KEY (attempt_id),
    ADD FOREIGN KEY (session_id) REFERENCES sessions ON DELETE SET NULL,
    ALTER COLUMN tenant DROP DEFAULT,
    ADD CONSTRAINT attempts_cost_source_check
        CHECK (cost_source IN ('charged', 'priced', 'estimated', 'unknown', 'free')),
    ADD CONSTRAINT attempts_failure_check
        CHECK (failure IN ('connect', 'timeout', 'server', 'overloaded', 'truncated', 'malformed', 'rate_limit',
                           'quota', 'billing', 'auth', 'context_length', 'content_policy', 'bad_request', 'config',
                           'cancelled', 'lost', 'internal'));
CREATE INDEX attempts_of_turn ON attempts (session_id, turn);
CREATE INDEX attempts_ended ON attempts (provider, ended_at);

-- What a tenant may spend a day, where that differs from what all of them may.
CREATE TABLE budgets (
    tenant    text PRIMARY KEY,
    daily_usd numeric NOT NULL CHECK (daily_usd >= 0)
);

-- Spent and reserved, by the day (UTC) on which the attempts began. Only what has a bound is counted.
CREATE TABLE spending (
    scope text NOT NULL, -- provider:<name> or tenant:<id>
    day   date NOT NULL,
    usd   numeric NOT NULL,
    PRIMARY KEY (scope, day)
) WITH (fillfactor = 50); -- rows are updated in place

-- Until when a running turn waits for a provider.
ALTER TABLE turns ADD COLUMN resumes_at timestamptz;
