-- Keeps with an event the trace that it is a part of (W3C traceparent), so that whoever
-- relays or logs it, now or after a restart, on this node or another, can join the trace.
-- Null where nobody traced; events of before, and of servers of before, have none.
ALTER TABLE outbox ADD COLUMN traceparent TEXT;
