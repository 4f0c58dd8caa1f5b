-- ── whom a message was written to ─────────────────────────────────────────────────────────────────────────

-- The customer's newest message that stood in the conversation when somebody wrote. When what is learned later of a phone
-- parts the two, ours is not sent to whoever has it then. No reference: that message may be removed.
ALTER TABLE outbox ADD COLUMN written_after bigint;
