-- Coexist's tables. Words as in docs/architecture.md; one comment per table says which subject folder owns it.
-- Times are timestamptz; ids are ours unless the column is named after Meta's (waba_id, phone_number_id, wamid).

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- ── people ────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE accounts (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL CHECK (name <> ''),
    sync_enabled boolean NOT NULL DEFAULT true,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX accounts_name ON accounts (lower(name));

CREATE TABLE users (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         text NOT NULL CHECK (email = lower(email)),
    name          text NOT NULL CHECK (name <> ''),
    password_hash text,
    time_zone     text NOT NULL DEFAULT 'UTC',
    is_active     boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (email);

CREATE TYPE member_role AS ENUM ('agent', 'admin', 'owner');

CREATE TABLE memberships (
    account_id integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    user_id    integer NOT NULL REFERENCES users ON DELETE CASCADE,
    role       member_role NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

-- Only a hash of the cookie is kept: who reads the database cannot sign in with it.
CREATE TABLE sessions (
    token_hash   bytea PRIMARY KEY,
    user_id      integer NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    user_agent   text
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE sign_in_links (
    token_hash bytea PRIMARY KEY,
    user_id    integer NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    uses_left  integer NOT NULL DEFAULT 1 CHECK (uses_left >= 0)
);

-- ── inboxes: our face of one business phone number ───────────────────────────────────────────────────────

-- Within one account and one Meta portfolio a BSUID names one person; contacts live in that scope.
CREATE TABLE contact_scopes (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    portfolio_id text NOT NULL,
    -- raised whenever existing identities change hands, so that a batch resolved before can tell that it is stale
    version      bigint NOT NULL DEFAULT 0,
    UNIQUE (account_id, portfolio_id)
);

CREATE TYPE inbox_state AS ENUM ('connected', 'offboarded', 'removed', 'token_invalid', 'restricted');

CREATE TABLE inboxes (
    id                   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id           integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    scope_id             integer NOT NULL REFERENCES contact_scopes,
    name                 text NOT NULL CHECK (name <> ''),
    waba_id              text NOT NULL,
    phone_number_id      text NOT NULL,
    display_phone_number text NOT NULL CHECK (display_phone_number ~ '^[0-9]+$'),
    verified_name        text,
    is_coexistence       boolean NOT NULL,
    onboarded_at         timestamptz NOT NULL,
    token                bytea,
    state                inbox_state NOT NULL DEFAULT 'connected',
    state_reason         text,
    state_initiated_by   text,
    state_at             timestamptz NOT NULL DEFAULT now(),
    sync_enabled         boolean NOT NULL DEFAULT true,
    keep_open_days       integer NOT NULL DEFAULT 14 CHECK (keep_open_days >= 0),
    created_at           timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX inboxes_phone_number_id ON inboxes (phone_number_id);
CREATE INDEX inboxes_account ON inboxes (account_id);
CREATE INDEX inboxes_waba ON inboxes (waba_id);

-- What happened to the number, in Meta's time. A second disconnect is a new line; a redelivery is not (C7).
CREATE TABLE inbox_timeline (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inbox_id integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    at       timestamptz NOT NULL,
    field    text NOT NULL,
    event    text NOT NULL,
    value    jsonb NOT NULL DEFAULT '{}',
    digest   text NOT NULL,
    UNIQUE (inbox_id, field, event, at, digest)
);

-- ── coexistence: the one-shot sync ────────────────────────────────────────────────────────────────────────

CREATE TYPE sync_kind AS ENUM ('contacts', 'history');
CREATE TYPE sync_state AS ENUM (
    'not_requested', 'requesting', 'requested', 'receiving', 'completed',
    'declined', 'nothing_arrived', 'failed', 'switched_off'
);

-- One row per number, kind and onboarding: the right to ask is given once per onboarding (B3).
CREATE TABLE syncs (
    inbox_id         integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    kind             sync_kind NOT NULL,
    onboarded_at     timestamptz NOT NULL,
    state            sync_state NOT NULL DEFAULT 'not_requested',
    wanted_at        timestamptz,
    requested_at     timestamptz,
    request_id       text,
    refusals         smallint NOT NULL DEFAULT 0,
    first_arrival_at timestamptz,
    last_arrival_at  timestamptz,
    completed_at     timestamptz,
    declined_at      timestamptz,
    error_code       integer,
    error            text,
    error_at         timestamptz,
    PRIMARY KEY (inbox_id, kind, onboarded_at)
);

-- Chunks as received, so that progress is a maximum per phase whatever the order or number of deliveries (B8).
CREATE TABLE history_chunks (
    inbox_id       integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    onboarded_at   timestamptz NOT NULL,
    phase          smallint NOT NULL,
    chunk_order    integer NOT NULL,
    progress       smallint NOT NULL,
    thread_count   integer NOT NULL,
    message_count  integer NOT NULL,
    arrived_at     timestamptz NOT NULL,
    PRIMARY KEY (inbox_id, onboarded_at, phase, chunk_order)
);

-- ── inbox: contacts and identities ────────────────────────────────────────────────────────────────────────

CREATE TABLE contacts (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope_id          integer NOT NULL REFERENCES contact_scopes ON DELETE CASCADE,
    display_name      text NOT NULL DEFAULT '',
    agent_name        text,
    agent_name_at     timestamptz,
    address_book_name text,
    profile_name      text,
    username          text,
    phone             text,
    is_in_address_book boolean NOT NULL DEFAULT false,
    first_seen_at     timestamptz,
    note              text
);
CREATE INDEX contacts_scope ON contacts (scope_id);
CREATE INDEX contacts_name ON contacts USING gin (display_name gin_trgm_ops);

CREATE TYPE identity_kind AS ENUM ('bsuid', 'phone', 'former_phone');

-- One node of the identity graph: a BSUID (own or parent), a phone, or the person who had a phone before it moved.
-- match_key joins national variants of a phone; it is for matching only, never sent to, never shown.
CREATE TABLE identities (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope_id        integer NOT NULL REFERENCES contact_scopes ON DELETE CASCADE,
    contact_id      bigint NOT NULL REFERENCES contacts,
    kind            identity_kind NOT NULL,
    value           text NOT NULL CHECK (value <> ''),
    match_key       text NOT NULL,
    is_wa_id        boolean NOT NULL DEFAULT false,
    is_parent       boolean NOT NULL DEFAULT false,
    -- a phone whose owner depends on when: several BSUIDs had it, or it moved; resolved from the evidence each time
    is_contested    boolean NOT NULL DEFAULT false,
    profile_name    text,
    profile_name_at timestamptz,
    username        text,
    username_at     timestamptz,
    UNIQUE (scope_id, kind, value)
);
CREATE INDEX identities_contact ON identities (contact_id);
CREATE INDEX identities_match_key ON identities (scope_id, match_key);

-- Evidence, as a set: "from first_at on, this phone was seen with this BSUID". Contacts are computed from it.
CREATE TABLE identity_sightings (
    scope_id  integer NOT NULL REFERENCES contact_scopes ON DELETE CASCADE,
    phone     text NOT NULL,
    match_key text NOT NULL,
    bsuid     text NOT NULL,
    first_at  timestamptz NOT NULL,
    PRIMARY KEY (scope_id, phone, bsuid)
);
CREATE INDEX identity_sightings_bsuid ON identity_sightings (scope_id, bsuid);
CREATE INDEX identity_sightings_match_key ON identity_sightings (scope_id, match_key);

-- Evidence, as a set: one person under two ids (rotation, parent), or moving from one phone to the next.
CREATE TABLE identity_changes (
    scope_id integer NOT NULL REFERENCES contact_scopes ON DELETE CASCADE,
    kind     text NOT NULL CHECK (kind IN ('bsuid', 'phone', 'parent')),
    previous text NOT NULL,
    current  text NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (scope_id, kind, previous, current)
);
CREATE INDEX identity_changes_current ON identity_changes (scope_id, current);

-- The phone's address book, one row per entry; a removal is a tombstone that an older addition cannot undo (F8).
CREATE TABLE address_book_entries (
    inbox_id   integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    kind       identity_kind NOT NULL,
    value      text NOT NULL,
    full_name  text,
    first_name text,
    is_removed boolean NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (inbox_id, kind, value)
);
CREATE INDEX address_book_entries_value ON address_book_entries (kind, value);

-- ── inbox: conversations and messages ─────────────────────────────────────────────────────────────────────

CREATE TYPE conversation_state AS ENUM ('open', 'snoozed', 'resolved');

CREATE TABLE conversations (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inbox_id          integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    contact_id        bigint NOT NULL REFERENCES contacts,
    -- what a person decided, and when; later live messages may overrule it
    set_state         conversation_state,
    set_state_at      timestamptz,
    set_state_after   bigint NOT NULL DEFAULT 0,  -- the newest message id there was: what came later may overrule it
    snoozed_until     timestamptz,
    assignee_id       integer REFERENCES users ON DELETE SET NULL,
    read_at           timestamptz,
    read_up_to        bigint NOT NULL DEFAULT 0,  -- the newest message id that was on the reader's screen
    -- computed from the messages by inbox.summary; never written elsewhere
    state             conversation_state NOT NULL DEFAULT 'resolved',
    first_message_at  timestamptz,
    last_message_id   bigint,
    last_message_at   timestamptz,
    window_message_id bigint,
    window_opened_at  timestamptz,
    waiting_since     timestamptz,
    unread_count      integer NOT NULL DEFAULT 0,
    UNIQUE (inbox_id, contact_id)
);
CREATE INDEX conversations_list ON conversations (inbox_id, last_message_at DESC, id DESC);
CREATE INDEX conversations_open ON conversations (inbox_id, last_message_at DESC, id DESC) WHERE state = 'open';
CREATE INDEX conversations_contact ON conversations (contact_id);

CREATE TABLE drafts (
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    user_id         integer NOT NULL REFERENCES users ON DELETE CASCADE,
    text            text NOT NULL,
    saved_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, user_id)
);

CREATE TYPE message_direction AS ENUM ('inbound', 'outbound');
CREATE TYPE message_origin AS ENUM ('contact', 'app', 'api');

-- One message per wamid and inbox (D1). wamid is null only between our insert and Meta's answer.
CREATE TABLE messages (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inbox_id         integer NOT NULL REFERENCES inboxes,
    conversation_id  bigint NOT NULL REFERENCES conversations,
    wamid            text,
    peer             text NOT NULL,
    direction        message_direction NOT NULL,
    origin           message_origin NOT NULL,
    imported         boolean NOT NULL,
    opens_window     boolean NOT NULL,
    is_time_doubtful boolean NOT NULL,
    content_rank     smallint NOT NULL,
    direction_rank   smallint NOT NULL,
    forwarded        smallint NOT NULL,
    status           smallint,
    type             text NOT NULL,
    sent_at          timestamptz NOT NULL,
    text             text,
    content          jsonb,
    reply_to         text,
    author_id        integer REFERENCES users ON DELETE SET NULL,
    our_ref          uuid,
    errors           jsonb,
    -- computed from message_changes by inbox.changes; never written elsewhere
    edited_at        timestamptz,
    edited_text      text,
    revoked_at       timestamptz,
    reactions        jsonb
);
CREATE UNIQUE INDEX messages_wamid ON messages (inbox_id, wamid);
CREATE INDEX messages_conversation ON messages (conversation_id, sent_at, id);
CREATE INDEX messages_live ON messages (conversation_id, direction, sent_at, id) WHERE NOT imported;
CREATE UNIQUE INDEX messages_our_ref ON messages (our_ref) WHERE our_ref IS NOT NULL;

CREATE TYPE change_kind AS ENUM ('edit', 'revoke', 'reaction');

-- Edits, revokes and reactions, keyed by the wamid they name; waiting until that message is known (D14).
CREATE TABLE message_changes (
    inbox_id   integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    wamid      text NOT NULL,
    target     text NOT NULL,
    kind       change_kind NOT NULL,
    by         message_direction NOT NULL,
    at         timestamptz NOT NULL,
    text       text,
    is_waiting boolean NOT NULL DEFAULT true,
    PRIMARY KEY (inbox_id, wamid)
);
CREATE INDEX message_changes_target ON message_changes (inbox_id, target);
CREATE INDEX message_changes_waiting ON message_changes (inbox_id, target) WHERE is_waiting;

-- Every status Meta told, with its own time; one that comes before its message waits here.
CREATE TABLE message_statuses (
    inbox_id   integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    wamid      text NOT NULL,
    status     smallint NOT NULL,
    at         timestamptz NOT NULL,
    our_ref    uuid,
    pricing    jsonb,
    errors     jsonb,
    is_waiting boolean NOT NULL DEFAULT true,
    PRIMARY KEY (inbox_id, wamid, status)
);
CREATE INDEX message_statuses_waiting ON message_statuses (inbox_id, wamid) WHERE is_waiting;

-- ── media ─────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TYPE media_state AS ENUM ('waiting', 'stored', 'failed', 'gone');

CREATE TABLE media (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inbox_id        integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    wamid           text NOT NULL,
    media_id        text,
    mime_type       text,
    sha256          text,
    file_name       text,
    url             text,
    is_voice        boolean NOT NULL DEFAULT false,
    is_animated     boolean NOT NULL DEFAULT false,
    content_rank    smallint NOT NULL,
    told_at         timestamptz NOT NULL,
    state           media_state NOT NULL DEFAULT 'waiting',
    stored_sha256   text,
    bytes           bigint,
    width           integer,
    height          integer,
    attempts        smallint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    error           text,
    UNIQUE (inbox_id, wamid)
);
CREATE INDEX media_waiting ON media (next_attempt_at, id) WHERE state = 'waiting';
CREATE INDEX media_stored ON media (stored_sha256) WHERE stored_sha256 IS NOT NULL;

-- ── outbound ──────────────────────────────────────────────────────────────────────────────────────────────

CREATE TYPE outbox_state AS ENUM ('queued', 'sending', 'accepted', 'failed', 'unclear');

CREATE TABLE outbox (
    our_ref         uuid PRIMARY KEY,
    inbox_id        integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    message_id      bigint NOT NULL REFERENCES messages ON DELETE CASCADE,
    payload         jsonb NOT NULL,
    state           outbox_state NOT NULL DEFAULT 'queued',
    attempts        smallint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    sending_at      timestamptz,
    settled_at      timestamptz,
    given_up_at     timestamptz,  -- when somebody let an unclear one rest: it may have reached the customer all the same
    error_code      integer,
    error           text,
    fbtrace_id      text,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_queued ON outbox (inbox_id, next_attempt_at, created_at) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_message ON outbox (message_id);
CREATE INDEX outbox_sending_at ON outbox (inbox_id, sending_at) WHERE sending_at IS NOT NULL;
CREATE INDEX outbox_unsettled ON outbox (state) WHERE state IN ('queued', 'sending', 'unclear');
CREATE INDEX outbox_failed ON outbox (settled_at) WHERE state = 'failed';

-- ── intake: the journal ───────────────────────────────────────────────────────────────────────────────────

-- Every signed delivery, as received, for good. Append-only: what is still to be applied
-- stands in backlog, so that applying rewrites no body.
CREATE TABLE journal (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL,
    lane        smallint NOT NULL DEFAULT 0,
    body        bytea NOT NULL
);
-- Faster than the default; a server built without it, as the embedded one, keeps the default.
DO $$
BEGIN
    ALTER TABLE journal ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;

-- lane 0 is live, 1 is bulk: what happens now overtakes a history of half a million messages. No foreign key: both rows
-- are written by one statement, and checking it again would cost a fifth of the rate at which we acknowledge.
CREATE TABLE backlog (
    lane       smallint NOT NULL,
    journal_id bigint NOT NULL,
    PRIMARY KEY (lane, journal_id)
);

-- Deliveries that name a number nobody has connected yet; applied again when it is (A6).
CREATE TABLE unrouted (
    phone_number_id text NOT NULL,
    journal_id      bigint NOT NULL REFERENCES journal ON DELETE CASCADE,
    PRIMARY KEY (phone_number_id, journal_id)
);

CREATE TABLE quarantine (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal_id      bigint NOT NULL REFERENCES journal ON DELETE CASCADE,
    part            text NOT NULL,
    phone_number_id text,
    error           text NOT NULL,
    attempts        integer NOT NULL DEFAULT 1,
    since           timestamptz NOT NULL DEFAULT now(),
    last_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (journal_id, part)
);
CREATE INDEX quarantine_number ON quarantine (phone_number_id);

-- ── events: our own feed ──────────────────────────────────────────────────────────────────────────────────

-- Appended last in a transaction under the account's feed lock, so ids of one account commit in order and a
-- reader that asks for id > last never skips one.
CREATE TABLE events (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    inbox_id        integer,
    conversation_id bigint,
    message_id      bigint,
    kind            text NOT NULL,
    payload         jsonb NOT NULL DEFAULT '{}',
    at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_account ON events (account_id, id);
