-- ── a one-shot request whose answer was lost ──────────────────────────────────────────────────────────────

-- When Meta's answer came that it has taken the request up; null while nobody knows. When a person had it asked for once more.
ALTER TABLE syncs ADD COLUMN answered_at timestamptz, ADD COLUMN asked_again_at timestamptz;
