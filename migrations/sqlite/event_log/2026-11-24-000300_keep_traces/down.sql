-- Forgets which traces the events in the log belong to.
ALTER TABLE event_log DROP COLUMN traceparent;
