-- ── what Meta keeps a number from doing ───────────────────────────────────────────────────────────────────

-- Until when the number may not begin conversations, and not answer in them (ACCOUNT_RESTRICTION); the year 9999 when
-- Meta named no end. Computed from inbox_timeline by inbox.connection; never written elsewhere.
ALTER TABLE inboxes
    ADD COLUMN begins_held_until  timestamptz,
    ADD COLUMN replies_held_until timestamptz;
