-- ── deliveries that carried an import before that was noted ───────────────────────────────────────────────

-- In a file of its own: the journal is read from end to end, and deliveries must be taken in meanwhile.
INSERT INTO import_deliveries (journal_id, phone_number_id) SELECT id, '' FROM journal WHERE lane = 1;
