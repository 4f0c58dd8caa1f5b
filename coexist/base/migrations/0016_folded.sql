-- ── conversations that became one ─────────────────────────────────────────────────────────────────────────

-- Where a conversation went when its person turned out to be another's: pages that are open on it, and links, follow.
CREATE TABLE folded_conversations (
    id      bigint PRIMARY KEY,
    kept_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE
);
CREATE INDEX folded_conversations_kept_id ON folded_conversations (kept_id);
