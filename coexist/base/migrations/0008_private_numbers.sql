-- ── private numbers: people whose content is never kept ───────────────────────────────────────────────────

-- Nothing here can be read without the key of COEXIST_SECRET_KEY: sealed is the number, for whoever keeps the list.
CREATE TABLE private_numbers (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    sealed          bytea NOT NULL,
    added_by        text NOT NULL,
    added_at        timestamptz NOT NULL,
    -- what was here before is removed up to the delivery purge_to; purged_to is the last one that was searched
    purge_to        bigint,
    purged_to       bigint NOT NULL DEFAULT 0,
    purged_at       timestamptz,
    purged_messages bigint NOT NULL DEFAULT 0,
    purged_parts    bigint NOT NULL DEFAULT 0
);
CREATE INDEX private_numbers_account ON private_numbers (account_id);

-- The ids by which a private number's person is known: the number itself, and ids seen beside it. key is a keyed hash
-- (of a phone's match key, or of the BSUID), so that who reads the table cannot try numbers; sealed is the id.
CREATE TABLE private_ids (
    account_id      integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    key             bytea NOT NULL,
    number_id       bigint NOT NULL REFERENCES private_numbers ON DELETE CASCADE,
    sealed          bytea NOT NULL,
    is_purge_wanted boolean NOT NULL DEFAULT false,
    is_purging      boolean NOT NULL DEFAULT false,  -- it is under way; what is wanted meanwhile begins anew after it
    PRIMARY KEY (account_id, key)
);
CREATE INDEX private_ids_number ON private_ids (number_id);
CREATE INDEX private_ids_purge ON private_ids (number_id) WHERE is_purge_wanted OR is_purging;
