-- ── failures that are told more than once, and with what something came ────────────────────────────────────

-- When each error code of a failed message was told last, in Unix seconds: the message shows one telling, but what they
-- ask for must not depend on which of them came first.
ALTER TABLE message_statuses ADD COLUMN refused_at jsonb;

-- With which delivery it came: what waits for its message is kept for as long as that. No foreign key: most never wait.
ALTER TABLE message_statuses ADD COLUMN journal_id bigint;
ALTER TABLE message_changes ADD COLUMN journal_id bigint;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX quarantine_settled_journal ON quarantine_settled (journal_id);
