-- ── checks: what is looked at before the one chance to sync is spent, and what a doctor needs as evidence ──

-- The last look at a number, one row each. Syncs are asked for until passed_until; is_waiting while they wait for a
-- look that finds all in order.
CREATE TABLE preflights (
    inbox_id     integer PRIMARY KEY REFERENCES inboxes ON DELETE CASCADE,
    onboarded_at timestamptz NOT NULL,
    checked_at   timestamptz NOT NULL,
    checks       jsonb NOT NULL,
    is_waiting   boolean NOT NULL,
    passed_until timestamptz
);

-- What was wanted before there was such a look stays wanted.
INSERT INTO preflights (inbox_id, onboarded_at, checked_at, checks, is_waiting, passed_until)
SELECT DISTINCT i.id, i.onboarded_at, now(), '[]'::jsonb, false, i.onboarded_at + interval '24 hours'
  FROM inboxes i JOIN syncs s ON s.inbox_id = i.id AND s.onboarded_at = i.onboarded_at
 WHERE s.wanted_at IS NOT NULL AND s.requested_at IS NULL;

-- Deliveries that we sent ourselves, signed, to our own address. They are no sign of Meta, so we remember which.
CREATE TABLE self_tests (
    nonce      text PRIMARY KEY,
    sent_at    timestamptz NOT NULL,
    journal_id bigint,
    applied_at timestamptz
);

-- Which webhook fields came under which of Meta's names (a number, a WhatsApp account, a portfolio), to the minute.
CREATE TABLE webhook_sightings (
    name     text NOT NULL,
    field    text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (name, field)
);

-- Each running worker, with what it sees of its host; beat_at is the database's time.
CREATE TABLE worker_beats (
    worker         uuid PRIMARY KEY,
    host           text NOT NULL,
    version        text NOT NULL,
    started_at     timestamptz NOT NULL,
    beat_at        timestamptz NOT NULL,
    clock_ahead_ms bigint NOT NULL,
    free_bytes     bigint,
    storage_error  text
);
