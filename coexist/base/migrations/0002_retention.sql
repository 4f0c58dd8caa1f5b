-- Looking after what could not be applied, and letting go of what has been.

-- ── quarantine ────────────────────────────────────────────────────────────────────────────────────────────

-- kind and part_bytes are null for what was quarantined before they were kept, until it is tried again.
ALTER TABLE quarantine
    ADD COLUMN kind            text,         -- in words: "text message", "chat in history"
    ADD COLUMN part_bytes      integer,      -- the size of the part's JSON
    ADD COLUMN previous_error  text,         -- of the try before, when it failed for another reason
    ADD COLUMN retry_wanted_at timestamptz,  -- set while a retry is in line
    ADD COLUMN retry_wanted_by text,
    ADD COLUMN retried_at      timestamptz,  -- when a retry that somebody wanted failed again
    ADD COLUMN dismissed_at    timestamptz,
    ADD COLUMN dismissed_by    text,
    ADD COLUMN dismissed_why   text;

-- What was in quarantine and is applied now: the outcome of a retry. Kept for a while.
CREATE TABLE quarantine_settled (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal_id      bigint NOT NULL,
    part            text NOT NULL,
    phone_number_id text,
    kind            text,
    error           text NOT NULL,
    attempts        integer NOT NULL,
    since           timestamptz NOT NULL,
    retry_wanted_by text,
    settled_at      timestamptz NOT NULL DEFAULT now()
);

-- A number (or WhatsApp account) that is not connected here, on purpose: its deliveries wait without being counted.
CREATE TABLE unrouted_dismissals (
    phone_number_id text PRIMARY KEY,
    dismissed_at    timestamptz NOT NULL DEFAULT now(),
    dismissed_by    text NOT NULL,
    dismissed_why   text NOT NULL
);

-- ── journal ───────────────────────────────────────────────────────────────────────────────────────────────

-- quarantine and unrouted hold few rows: indexing and checking them takes no time.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX unrouted_journal ON unrouted (journal_id);

-- What waits holds its delivery fast: a mistake of retention would be an error, never a loss.
-- squawk-ignore ban-drop-constraint
ALTER TABLE quarantine DROP CONSTRAINT quarantine_journal_id_fkey;
-- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
ALTER TABLE quarantine ADD CONSTRAINT quarantine_journal_id_fkey FOREIGN KEY (journal_id) REFERENCES journal;
-- squawk-ignore ban-drop-constraint
ALTER TABLE unrouted DROP CONSTRAINT unrouted_journal_id_fkey;
-- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
ALTER TABLE unrouted ADD CONSTRAINT unrouted_journal_id_fkey FOREIGN KEY (journal_id) REFERENCES journal;

-- ── events ────────────────────────────────────────────────────────────────────────────────────────────────

-- Up to which event a feed was pruned: whoever asks for what came after an older one must begin anew.
CREATE TABLE feed_horizons (
    account_id integer PRIMARY KEY,
    pruned_to  bigint NOT NULL
);
