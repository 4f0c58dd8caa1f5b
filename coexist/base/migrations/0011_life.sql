-- ── the connection's life: what Meta has to be asked, what ends soon, who was told ────────────────────────

-- Numbers whose state Meta has to confirm, one row each: an event named the whole WhatsApp account, or two came so close
-- that nobody knows their order. since changes with every such event, so that an answer settles only what it saw.
CREATE TABLE connection_questions (
    inbox_id integer PRIMARY KEY REFERENCES inboxes ON DELETE CASCADE,
    since    timestamptz NOT NULL,
    next_at  timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0
);

-- What Meta told of each number's access token. No expires_at: it never does. problem: why it could not be asked.
CREATE TABLE token_watch (
    inbox_id   integer PRIMARY KEY REFERENCES inboxes ON DELETE CASCADE,
    asked_at   timestamptz NOT NULL,
    next_at    timestamptz NOT NULL,
    checked_at timestamptz,
    expires_at timestamptz,
    problem    text
);

-- Reminders that were given: once per stage of what began with the same sign of life, or ends at the same time.
CREATE TABLE reminders (
    inbox_id integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    about    text NOT NULL CHECK (about IN ('phone', 'token')),
    stage    text NOT NULL CHECK (stage IN ('amber', 'red')),
    since    timestamptz NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (inbox_id, about, stage, since)
);

-- The newest live message that was written on the phone is the best sign of its life.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX messages_phone ON messages (inbox_id, sent_at) WHERE origin = 'app' AND NOT imported;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX inbox_timeline_page ON inbox_timeline (inbox_id, at, id);
