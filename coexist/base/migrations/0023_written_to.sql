-- ── whom a message of ours was written to ─────────────────────────────────────────────────────────────────

-- The id as chosen here, whatever ids Meta tells of the message later. What a refusal says of a person is about this one;
-- null for messages from before, of which the message's own peer has to do.
ALTER TABLE outbox ADD COLUMN peer text;
