-- ── failures that are told more than once ─────────────────────────────────────────────────────────────────

-- When each error code of a failed message was told last, in Unix seconds: the message shows one telling, but what they
-- ask for must not depend on which of them came first.
ALTER TABLE message_statuses ADD COLUMN refused_at jsonb;

UPDATE message_statuses s
   SET refused_at = (SELECT jsonb_object_agg(e.error ->> 'code', extract(epoch FROM s.at))
                       FROM jsonb_array_elements(s.errors) AS e (error)
                      WHERE jsonb_typeof(e.error -> 'code') = 'number')
 WHERE jsonb_typeof(s.errors) = 'array';
