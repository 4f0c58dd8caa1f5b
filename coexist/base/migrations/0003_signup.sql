-- ── coexistence: signing a number up ──────────────────────────────────────────────────────────────────────

-- A link with which a client connects a number of theirs, once, without a user here. Only its hash is kept.
CREATE TABLE signup_links (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE,
    made_for   text NOT NULL CHECK (made_for <> ''),
    made_by    integer REFERENCES users ON DELETE SET NULL,
    made_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    used_at    timestamptz
);
CREATE INDEX signup_links_account ON signup_links (account_id, made_at);

CREATE TYPE signup_way AS ENUM ('dialog', 'token');

-- In this order a later state takes an earlier one's place, whichever is told first; the last two stay.
CREATE TYPE signup_state AS ENUM ('opened', 'cancelled', 'failed', 'authorised', 'connected');

-- One attempt to connect a number. Its id is made by the page, so that a double click is the same attempt.
-- The token is sealed, and is here only until the inbox has it, or for a day.
CREATE TABLE signups (
    id              uuid PRIMARY KEY,
    account_id      integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    link_id         integer REFERENCES signup_links ON DELETE CASCADE,
    user_id         integer REFERENCES users ON DELETE SET NULL,
    person          text NOT NULL,
    way             signup_way NOT NULL,
    renews_id       integer REFERENCES inboxes ON DELETE CASCADE,
    state           signup_state NOT NULL DEFAULT 'opened',
    problem         text,
    detail          text,
    meta_error      text,
    meta_session    text,
    meta_step       text,
    waba_id         text,
    chosen_id       text,
    choices         jsonb NOT NULL DEFAULT '[]',
    token           bytea,
    inbox_id        integer REFERENCES inboxes ON DELETE CASCADE,
    is_onboarding   boolean NOT NULL DEFAULT false,
    is_in_review    boolean NOT NULL DEFAULT false,
    began_at        timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    busy_until      timestamptz
);
CREATE INDEX signups_account ON signups (account_id, began_at);
CREATE INDEX signups_link ON signups (link_id);
CREATE INDEX signups_token ON signups (changed_at) WHERE token IS NOT NULL;
