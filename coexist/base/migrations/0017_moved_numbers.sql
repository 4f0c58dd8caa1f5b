-- ── numbers that moved to another account ─────────────────────────────────────────────────────────────────

-- A number that was disconnected in one account and signed up in another is a new inbox there: what the journal has of it
-- up to journal_from is not for that one. The former inbox keeps its chats under ids that Meta does not know;
-- moved_number is Meta's id of the number it was, and deliveries of it up to moved_to are its own.
ALTER TABLE inboxes
    ADD COLUMN journal_from bigint NOT NULL DEFAULT 0,
    ADD COLUMN moved_number text,
    ADD COLUMN moved_to     bigint;
