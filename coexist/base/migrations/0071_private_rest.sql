-- ── what is left of a private number when the journal has been searched ───────────────────────────────────

-- Where the end of a purge has come to: among which things (in the order of intake/purging.py), and after which id of them.
ALTER TABLE private_numbers
    ADD COLUMN rest_place smallint NOT NULL DEFAULT 0,
    ADD COLUMN rest_after bigint NOT NULL DEFAULT 0;
