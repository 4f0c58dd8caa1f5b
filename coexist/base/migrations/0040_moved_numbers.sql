-- ── numbers that moved to another account: whose is what was told of them ─────────────────────────────────

-- owned_from and moved_at are when the number was onboarded for this account, and for the next one: what happened before
-- and is told late is still the former one's. moved_waba is Meta's id of the WhatsApp account that the number was in.
ALTER TABLE inboxes
    ADD COLUMN owned_from timestamptz,
    ADD COLUMN moved_at   timestamptz,
    ADD COLUMN moved_waba text;

UPDATE inboxes SET moved_waba = left(waba_id, -length('-' || id)) WHERE moved_number IS NOT NULL;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX inboxes_moved ON inboxes (moved_number) WHERE moved_number IS NOT NULL;

-- What could not be applied before a number moved is shown to whom it was for.
UPDATE quarantine q SET phone_number_id = i.phone_number_id
  FROM inboxes i
 WHERE q.phone_number_id = i.moved_number AND q.journal_id > i.journal_from AND q.journal_id <= i.moved_to;
UPDATE quarantine_settled q SET phone_number_id = i.phone_number_id
  FROM inboxes i
 WHERE q.phone_number_id = i.moved_number AND q.journal_id > i.journal_from AND q.journal_id <= i.moved_to;
