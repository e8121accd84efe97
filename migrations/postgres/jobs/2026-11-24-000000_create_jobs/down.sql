-- Takes the tables away in the order that the foreign keys allow. The extension stays:
-- somebody else may use it.
DROP TABLE event_sequence;
DROP TABLE idempotency_keys;
DROP TABLE outbox;
DROP TABLE job_assignments;
DROP TABLE jobs;
DROP TABLE contractors;
