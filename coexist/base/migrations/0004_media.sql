-- Files: fetched at a measured pace, kept once per account, with what a page needs to show them.

ALTER TABLE media
    -- Meta keeps a file for seven days from here on; for what was told before this column, from its making on
    ADD COLUMN known_at        timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN claimed_until   timestamptz,  -- set while somebody fetches it
    ADD COLUMN attempted_at    timestamptz,
    ADD COLUMN reason          text,         -- why it is not here, as media.model.Reason names it
    ADD COLUMN duration_ms     integer,
    ADD COLUMN thumbnail_bytes integer;      -- set when it has a small picture

-- media holds a row for each file, not for each message: indexing it takes seconds.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX media_due ON media (inbox_id, content_rank DESC, next_attempt_at, id) WHERE state = 'waiting';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX media_attempted ON media (inbox_id, attempted_at) WHERE attempted_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX media_claimed ON media (inbox_id, claimed_until) WHERE claimed_until IS NOT NULL;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX media_waiting;

-- Meta asked for fewer calls for this number: no file of it is asked for until then. Gone after the next success.
CREATE TABLE media_throttles (
    inbox_id integer PRIMARY KEY REFERENCES inboxes ON DELETE CASCADE,
    until    timestamptz NOT NULL,
    refusals integer NOT NULL
);

-- Stored files about to be deleted. Until the row is gone again no message may name that file.
-- No foreign key: the account may be gone already.
CREATE TABLE media_doomed (
    account_id integer NOT NULL,
    sha256     text NOT NULL,
    since      timestamptz NOT NULL,
    PRIMARY KEY (account_id, sha256)
);
