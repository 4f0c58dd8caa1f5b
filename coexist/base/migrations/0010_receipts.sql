-- ── coverage: which days of a number have messages ────────────────────────────────────────────────────────

-- Counting millions of messages by day takes seconds: the count is kept for a while. Days are UTC's.
CREATE TABLE coverages (
    inbox_id   integer PRIMARY KEY REFERENCES inboxes ON DELETE CASCADE,
    counted_at timestamptz NOT NULL
);

CREATE TABLE coverage_days (
    inbox_id      integer NOT NULL REFERENCES coverages ON DELETE CASCADE,
    day           date NOT NULL,
    message_count integer NOT NULL,
    placeholders  integer NOT NULL,  -- whose content is on the phone only
    exported      integer NOT NULL,  -- from chats that the phone exported
    PRIMARY KEY (inbox_id, day)
);
