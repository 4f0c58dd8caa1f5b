-- ── the templates that a number was written with last ─────────────────────────────────────────────────────

-- They stand first where one is chosen.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX messages_templates ON messages (inbox_id, id) WHERE type = 'template' AND our_ref IS NOT NULL;
