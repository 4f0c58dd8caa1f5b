-- ── exported chats: what the phone's "Export chat" made, brought into a thread ────────────────────────────

CREATE TYPE exported_chat_state AS ENUM ('uploaded', 'applying', 'applied', 'failed', 'undoing', 'undone');

-- One import. The file itself stands in the data folder of the host that took it in, until it is applied.
-- choices: what a person decided; report: counts of what was done. No words of the chat are in here.
CREATE TABLE exported_chats (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      integer NOT NULL REFERENCES accounts ON DELETE CASCADE,
    inbox_id        integer REFERENCES inboxes ON DELETE CASCADE,
    conversation_id bigint,  -- no foreign key: conversations of one person become one
    file_name       text NOT NULL,
    file_bytes      bigint NOT NULL,
    state           exported_chat_state NOT NULL DEFAULT 'uploaded',
    choices         jsonb,
    total_count     integer NOT NULL,
    done_count      integer NOT NULL DEFAULT 0,
    report          jsonb,
    error           text,
    uploaded_by     integer REFERENCES users ON DELETE SET NULL,
    uploaded_at     timestamptz NOT NULL,
    started_at      timestamptz,
    finished_at     timestamptz,
    undone_at       timestamptz,
    claimed_until   timestamptz  -- set while a worker is at it
);
CREATE INDEX exported_chats_account ON exported_chats (account_id, id);
CREATE INDEX exported_chats_busy ON exported_chats (id) WHERE state IN ('uploaded', 'applying', 'undoing');

-- Which message an import made, or (replaced is set) filled in where Meta had told of it without its content.
CREATE TABLE exported_messages (
    inbox_id         integer NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    wamid            text NOT NULL,
    exported_chat_id bigint NOT NULL REFERENCES exported_chats ON DELETE CASCADE,
    replaced         jsonb,
    PRIMARY KEY (inbox_id, wamid, exported_chat_id)
);
CREATE INDEX exported_messages_chat ON exported_messages (exported_chat_id);
