-- What an echo makes of its conversation, for each number, and from when on; those of before are left alone.
CREATE TYPE echo_effect AS ENUM ('leave', 'reopen', 'resolve');
ALTER TABLE inboxes
    ADD COLUMN echo_effect echo_effect NOT NULL DEFAULT 'leave',
    ADD COLUMN echo_effect_at timestamptz;

-- One message can be told twice, with two times; `peer` may be from another telling than the content, and who had a
-- phone depends on the time. These are that telling's time, and how good it was (inbox.merge); NULL where it is the same.
ALTER TABLE messages ADD COLUMN peer_rank smallint, ADD COLUMN peer_at timestamptz;
