-- Keys of the API. The key itself is nowhere: it is random enough that a plain digest gives nothing away.
CREATE TABLE api_keys (
    key_id       text PRIMARY KEY,
    tenant       text NOT NULL,
    name         text NOT NULL,
    scope        text NOT NULL CHECK (scope IN ('chat', 'operate', 'admin')),
    digest       bytea NOT NULL UNIQUE,
    prefix       text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
-- For lists, newest first.
CREATE INDEX api_keys_newest ON api_keys (tenant, created_at, key_id);
