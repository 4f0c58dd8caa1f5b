-- ── deliveries that are applied again for one number ──────────────────────────────────────────────────────

-- The number of which alone a delivery is applied again; '' is all that it says. One may stand in line for both.
ALTER TABLE backlog ADD COLUMN only_for text NOT NULL DEFAULT '';
-- squawk-ignore ban-drop-constraint
ALTER TABLE backlog DROP CONSTRAINT backlog_pkey;
-- What is in line is little: indexing it takes no time.
-- squawk-ignore adding-serial-primary-key-field, constraint-missing-not-valid
ALTER TABLE backlog ADD CONSTRAINT backlog_pkey PRIMARY KEY (lane, journal_id, only_for);
