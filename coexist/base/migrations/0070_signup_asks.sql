-- ── how often Meta was asked for a sign-up ────────────────────────────────────────────────────────────────

-- When somebody who connects numbers made us ask Meta, within the last hour: over a link, or as a member (the other is 0).
CREATE TABLE signup_asks (
    account_id integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    link_id    integer NOT NULL,
    user_id    integer NOT NULL,
    asked_at   timestamptz[] NOT NULL,
    PRIMARY KEY (account_id, link_id, user_id)
);
