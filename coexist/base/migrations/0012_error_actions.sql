-- ── what Meta's errors hold back ──────────────────────────────────────────────────────────────────────────

-- Error codes that stand: Meta told them of the number or its WhatsApp account, and nobody has settled them since.
-- Computed from inbox_timeline by inbox.connection; never written elsewhere.
ALTER TABLE inboxes ADD COLUMN standing_codes integer[] NOT NULL DEFAULT '{}';

-- When WhatsApp last said that the window is closed, whatever we think (131047). It opens with the next message.
-- Computed from the messages by inbox.summary; never written elsewhere.
ALTER TABLE conversations ADD COLUMN window_refused_at timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX messages_failed ON messages (conversation_id) WHERE errors IS NOT NULL AND origin = 'api';

-- Whether the person wants marketing messages: the newest of what they told (user_preferences) and of what Meta refused.
ALTER TABLE identities
    ADD COLUMN marketing_wish       text CHECK (marketing_wish IN ('resume', 'stop')),
    ADD COLUMN marketing_wish_at    timestamptz,
    ADD COLUMN marketing_rests_until timestamptz;  -- Meta withheld one: none before then (131049)

-- Until when Meta is to be asked nothing about a WhatsApp Business account, or nothing at all ('').
CREATE TABLE call_pauses (
    waba_id text PRIMARY KEY,
    code    integer NOT NULL,
    until   timestamptz NOT NULL
);

-- Numbers that sent faster than they may: their rate is halved so often, one halving less with each minute since.
CREATE TABLE slowed_numbers (
    inbox_id integer PRIMARY KEY REFERENCES inboxes ON DELETE CASCADE,
    halvings smallint NOT NULL,
    at       timestamptz NOT NULL
);

-- The customer may have it although it is in line again: an attempt ended with an error that proves nothing (131000).
ALTER TABLE outbox ADD COLUMN is_doubtful boolean NOT NULL DEFAULT false;
