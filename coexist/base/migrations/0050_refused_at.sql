-- ── failures that are told more than once, and when something was told ────────────────────────────────────

-- When each error code of a failed message was told last, in Unix seconds: the message shows one telling, but what they
-- ask for must not depend on which of them came first.
ALTER TABLE message_statuses ADD COLUMN refused_at jsonb;

-- When it came, however long ago it happened: what waits for its message is kept for as long as its delivery.
ALTER TABLE message_statuses ADD COLUMN told_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE message_changes ADD COLUMN told_at timestamptz NOT NULL DEFAULT now();

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX quarantine_settled_journal ON quarantine_settled (journal_id);
