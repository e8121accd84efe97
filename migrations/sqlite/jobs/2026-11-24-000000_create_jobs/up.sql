-- Holds what dispatchers plan, and the events that the log does not hold yet, in one
-- database: so that a change, its event and its idempotency key are one transaction.
--
-- Ids are hyphenated UUIDs and times RFC 3339 in UTC with milliseconds, so that the
-- tables can be read in a shell, and texts sort as the times do.

CREATE TABLE contractors (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    timezone TEXT NOT NULL,
    created_at TEXT NOT NULL,
    CONSTRAINT contractors_pkey PRIMARY KEY (id),
    CONSTRAINT contractors_id_is_uuid CHECK (length(id) = 36),
    CONSTRAINT contractors_name_is_not_empty CHECK (name <> '')
) STRICT;

CREATE INDEX contractors_by_name ON contractors (name, id);

CREATE TABLE jobs (
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    customer TEXT NOT NULL,
    address TEXT NOT NULL,
    region TEXT NOT NULL,
    timezone TEXT NOT NULL,
    start_utc TEXT NOT NULL,
    end_utc TEXT NOT NULL,
    status TEXT NOT NULL,
    cancellation_reason TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_id_is_uuid CHECK (length(id) = 36),
    CONSTRAINT jobs_end_after_start CHECK (end_utc > start_utc),
    CONSTRAINT jobs_status_is_known
        CHECK (status IN ('scheduled', 'inProgress', 'completed', 'cancelled')),
    CONSTRAINT jobs_reason_is_of_a_cancelled_job
        CHECK (cancellation_reason IS NULL OR status = 'cancelled'),
    CONSTRAINT jobs_version_starts_at_1 CHECK (version >= 1)
) STRICT;

-- The order that jobs are listed in. The region is there so that a dispatcher's list
-- passes over other regions without a look at their rows; an index by region first
-- would spare that too, and cost every change of a window a second index.
CREATE INDEX jobs_by_start ON jobs (start_utc, id, region);

-- Window and life are copied from the job with each write: so that a contractor's
-- time is one range of one index, and needs no look at the jobs.
CREATE TABLE job_assignments (
    job_id TEXT NOT NULL,
    contractor_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    start_utc TEXT NOT NULL,
    end_utc TEXT NOT NULL,
    is_live INTEGER NOT NULL,
    CONSTRAINT job_assignments_pkey PRIMARY KEY (job_id, contractor_id),
    CONSTRAINT job_assignments_job_fkey
        FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE,
    CONSTRAINT job_assignments_contractor_fkey
        FOREIGN KEY (contractor_id) REFERENCES contractors (id),
    CONSTRAINT job_assignments_position_is_not_negative CHECK (position >= 0),
    CONSTRAINT job_assignments_end_after_start CHECK (end_utc > start_utc),
    CONSTRAINT job_assignments_is_live_is_boolean CHECK (is_live IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Holds all that the search for a contractor's busy windows reads, serves the list of
-- a contractor's jobs in its order, and is the foreign key's index. A partial index of
-- the live ones would be a second one to write, since the other two need them all.
CREATE INDEX job_assignments_by_contractor
    ON job_assignments (contractor_id, start_utc, job_id, end_utc, is_live);

-- Events that are committed and that the log does not hold yet. No foreign key to the
-- job: an event is a fact, whatever becomes of the job's row.
CREATE TABLE outbox (
    sequence INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    region TEXT NOT NULL,
    payload TEXT NOT NULL,
    published_to TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    created_at TEXT NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (sequence),
    CONSTRAINT outbox_sequence_starts_at_1 CHECK (sequence >= 1)
) STRICT;

-- Answers to be given again. Each belongs to the subject that used the key.
CREATE TABLE idempotency_keys (
    subject TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    receipt TEXT NOT NULL,
    created_at TEXT NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (subject, key),
    CONSTRAINT idempotency_keys_digest_is_sha256 CHECK (length(digest) = 32)
) STRICT;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- One row: the last sequence that was taken. It is taken inside the transaction that
-- writes the event, so that sequences have no gap and follow the order of commits.
CREATE TABLE event_sequence (
    id INTEGER NOT NULL,
    last INTEGER NOT NULL,
    CONSTRAINT event_sequence_pkey PRIMARY KEY (id),
    CONSTRAINT event_sequence_is_one_row CHECK (id = 1),
    CONSTRAINT event_sequence_is_not_negative CHECK (last >= 0)
) STRICT;

INSERT INTO event_sequence (id, last) VALUES (1, 0);
