-- ── which deliveries carry an import ──────────────────────────────────────────────────────────────────────

-- Noted when a delivery is applied: it has history or contacts of this number, whatever else is in it. So an import is
-- kept whole, and brought back whole, without opening the journal. '' is for deliveries of the bulk lane from before
-- this table (0036): whose they are is noted when they are applied again.
CREATE TABLE import_deliveries (
    journal_id      bigint NOT NULL REFERENCES journal ON DELETE CASCADE,
    phone_number_id text NOT NULL,
    PRIMARY KEY (journal_id, phone_number_id)
);
CREATE INDEX import_deliveries_number ON import_deliveries (phone_number_id, journal_id);
