-- ── exported chats: up to which message the import itself has compared ────────────────────────────────────

-- The newest message there was when the import was begun; null for imports of before this column.
ALTER TABLE exported_chats ADD COLUMN compared_to bigint;
