-- ── exported chats whose messages WhatsApp may have told by now ───────────────────────────────────────────

-- When something of the past came into the chat's conversation, until its messages were compared with that.
ALTER TABLE exported_chats ADD COLUMN compare_wanted_at timestamptz;
