-- Forgets which traces the events in the outbox belong to.
ALTER TABLE outbox DROP COLUMN traceparent;
