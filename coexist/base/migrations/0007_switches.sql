-- ── choices: what is taken in of a number, and how far back its conversations stay open ───────────────────

CREATE TYPE switch_kind AS ENUM ('history', 'contacts', 'media');

-- A switch that is off, for a whole account or (inbox_id is set) for one number, and who threw it. On is no row.
CREATE TABLE switched_off (
    account_id integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    inbox_id   integer REFERENCES inboxes ON DELETE CASCADE,
    kind       switch_kind NOT NULL,
    by         text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (account_id, inbox_id, kind)
);
CREATE INDEX switched_off_inbox ON switched_off (inbox_id);

-- What the one switch said that was there before.
INSERT INTO switched_off (account_id, kind, by)
SELECT id, kind, 'an operator'
  FROM accounts, unnest('{history,contacts}'::switch_kind[]) AS kind WHERE NOT sync_enabled;
INSERT INTO switched_off (account_id, inbox_id, kind, by)
SELECT account_id, id, kind, 'an operator'
  FROM inboxes, unnest('{history,contacts}'::switch_kind[]) AS kind WHERE NOT sync_enabled;
-- squawk-ignore ban-drop-column
ALTER TABLE accounts DROP COLUMN sync_enabled;
-- squawk-ignore ban-drop-column
ALTER TABLE inboxes DROP COLUMN sync_enabled;

-- What a number begins with that is connected from now on.
ALTER TABLE accounts
    ADD COLUMN keep_open_days integer NOT NULL DEFAULT 14 CONSTRAINT accounts_keep_open_days CHECK (keep_open_days >= 0);
