-- ── what waits to be sent, and for what ───────────────────────────────────────────────────────────────────

-- Numbers that send nothing for a moment: Meta asked for it, or is itself being asked whether they are still there.
CREATE TABLE resting_numbers (
    inbox_id integer PRIMARY KEY REFERENCES inboxes ON DELETE CASCADE,
    until    timestamptz NOT NULL
);

-- How many attempts Meta answered with an error that makes us ask whether the number is still there.
ALTER TABLE outbox ADD COLUMN asked_attempts integer NOT NULL DEFAULT 0;

-- The newest refusal for a closed window (131047) of a message that was discarded: window_refused_at counts it too.
ALTER TABLE conversations ADD COLUMN discarded_refusal_at timestamptz;
