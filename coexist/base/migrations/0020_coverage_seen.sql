-- ── the coverage map, counted anew as an import goes on ───────────────────────────────────────────────────

-- How far the number's history was when its days were counted.
ALTER TABLE coverages ADD COLUMN history_seen text NOT NULL DEFAULT '';
