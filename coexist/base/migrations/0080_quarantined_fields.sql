-- The webhook field that a part stood under, so that the doctor blames a part only for what comes under its field. Null
-- where none can be told, and for what was quarantined before it was kept, until it is tried again.
ALTER TABLE quarantine ADD COLUMN field text;
