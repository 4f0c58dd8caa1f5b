-- ── failures that were told before ────────────────────────────────────────────────────────────────────────

-- In a file of its own: the table is read from end to end, and nobody has to wait meanwhile.
UPDATE message_statuses s
   SET refused_at = (SELECT jsonb_object_agg(e.error ->> 'code', extract(epoch FROM s.at))
                       FROM jsonb_array_elements(s.errors) AS e (error)
                      WHERE jsonb_typeof(e.error -> 'code') = 'number')
 WHERE jsonb_typeof(s.errors) = 'array';
