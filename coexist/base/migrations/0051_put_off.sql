-- ── sync requests that Meta refuses for now ───────────────────────────────────────────────────────────────

-- How often a request was answered by what says nothing of it (a limit, an absence): the next one comes later each time.
ALTER TABLE syncs ADD COLUMN put_off smallint NOT NULL DEFAULT 0;
