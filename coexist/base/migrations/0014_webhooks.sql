-- ── outgoing webhooks: programs of an account that hear what happens in it ────────────────────────────────

CREATE TYPE webhook_state AS ENUM ('active', 'paused', 'disabled');

-- A webhook is a place in its account's feed: told_to is the last event that its program has taken. Nothing else
-- waits for it, so a program that is away costs one row.
CREATE TABLE webhooks (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    url            text NOT NULL CHECK (url <> ''),
    tells_syncs    boolean NOT NULL,
    secret         bytea,         -- sealed; null only between its insertion and its sealing
    former_secret  bytea,         -- signs as well until then, so that a program can change over
    former_until   timestamptz,
    told_to        bigint NOT NULL,
    state          webhook_state NOT NULL DEFAULT 'active',
    added_by       text NOT NULL,
    added_at       timestamptz NOT NULL,
    next_at        timestamptz NOT NULL,
    claimed_until  timestamptz,   -- set while a worker is at it
    failures       integer NOT NULL DEFAULT 0,  -- in a row
    failing_since  timestamptz,
    is_test_wanted boolean NOT NULL DEFAULT false
);
CREATE INDEX webhooks_account ON webhooks (account_id);

-- The last attempts of each webhook. No content: counts, ids of events, and our own words for what went wrong.
CREATE TABLE webhook_attempts (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id     integer NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    at             timestamptz NOT NULL,
    is_test        boolean NOT NULL,
    event_count    integer NOT NULL,
    first_event_id bigint,
    last_event_id  bigint,
    body_bytes     integer NOT NULL,
    duration_ms    integer NOT NULL,
    status         smallint,      -- of HTTP, where there was an answer
    error          text           -- null when the program took it
);
CREATE INDEX webhook_attempts_webhook ON webhook_attempts (webhook_id, id);
