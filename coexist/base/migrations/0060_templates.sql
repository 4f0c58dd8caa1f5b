-- ── message templates ─────────────────────────────────────────────────────────────────────────────────────

-- What Meta is asked for: the templates of a WhatsApp account, one row each. since changes whenever something asks anew,
-- so that an answer settles only what it saw. problem: why the last question got no answer.
CREATE TABLE template_lists (
    account_id integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    waba_id    text NOT NULL,
    since      timestamptz NOT NULL,
    next_at    timestamptz NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    listed_at  timestamptz,
    problem    text,
    PRIMARY KEY (account_id, waba_id)
);

-- A template in one language. listed_*: as Meta listed it when asked; told_*: the newest that a webhook, or the refusal of
-- a message, told of it. Which of the two counts, templates.store decides by their times; whichever comes first.
CREATE TABLE templates (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id       integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    waba_id          text NOT NULL,
    name             text NOT NULL,
    language         text NOT NULL,
    template_id      text,
    category         text,
    parameter_format text,
    components       jsonb NOT NULL DEFAULT '[]',
    quality          text,
    rejected_reason  text,
    listed_status    text,
    listed_at        timestamptz,
    told_status      text,
    told_at          timestamptz,
    told_id          text,
    told_reason      text,
    UNIQUE (account_id, waba_id, name, language)
);

-- Until when the number may send no utility templates (ACCOUNT_RESTRICTION). Computed from inbox_timeline by
-- inbox.connection; never written elsewhere.
ALTER TABLE inboxes ADD COLUMN utility_held_until timestamptz;
