-- ── which deliveries carry an import ──────────────────────────────────────────────────────────────────────

-- Noted when a delivery is applied: it has history or contacts of this number, whatever else is in it. So an import is
-- kept whole, and brought back whole, without opening the journal. '' is for deliveries of the bulk lane from before
-- this table: whose they are is noted when they are applied again.
CREATE TABLE import_deliveries (
    journal_id      bigint NOT NULL REFERENCES journal ON DELETE CASCADE,
    phone_number_id text NOT NULL,
    PRIMARY KEY (journal_id, phone_number_id)
);
CREATE INDEX import_deliveries_number ON import_deliveries (phone_number_id, journal_id);

INSERT INTO import_deliveries (journal_id, phone_number_id) SELECT id, '' FROM journal WHERE lane = 1;

-- The number of which alone a delivery is applied again; '' is all that it says. One may stand in line for both.
ALTER TABLE backlog ADD COLUMN only_for text NOT NULL DEFAULT '';
-- squawk-ignore ban-drop-constraint
ALTER TABLE backlog DROP CONSTRAINT backlog_pkey;
-- What is in line is little: indexing it takes no time.
-- squawk-ignore adding-serial-primary-key-field, constraint-missing-not-valid
ALTER TABLE backlog ADD CONSTRAINT backlog_pkey PRIMARY KEY (lane, journal_id, only_for);
