-- Keeps with an event the trace that it is a part of, as the outbox does.
ALTER TABLE event_log ADD COLUMN traceparent TEXT;
