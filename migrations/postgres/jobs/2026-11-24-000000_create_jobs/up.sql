-- Holds what dispatchers plan, and the events that the log does not hold yet, in one
-- database: so that a change, its event and its idempotency key are one transaction.
--
-- Texts are compared byte by byte ("C"), so that lists have the same order, and cursors
-- the same meaning, whatever the database's language.

-- Lets an exclusion constraint hold ids beside ranges of time. A trusted extension: whoever
-- may create things in the database may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE contractors (
    id UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    timezone TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT contractors_pkey PRIMARY KEY (id),
    CONSTRAINT contractors_name_is_not_empty CHECK (name <> '')
);

CREATE INDEX contractors_by_name ON contractors (name, id);

CREATE TABLE jobs (
    id UUID NOT NULL,
    title TEXT NOT NULL,
    customer TEXT NOT NULL,
    address TEXT NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    timezone TEXT NOT NULL,
    start_utc TIMESTAMPTZ NOT NULL,
    end_utc TIMESTAMPTZ NOT NULL,
    status TEXT NOT NULL,
    cancellation_reason TEXT,
    version BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_end_after_start CHECK (end_utc > start_utc),
    CONSTRAINT jobs_status_is_known
        CHECK (status IN ('scheduled', 'inProgress', 'completed', 'cancelled')),
    CONSTRAINT jobs_reason_is_of_a_cancelled_job
        CHECK (cancellation_reason IS NULL OR status = 'cancelled'),
    CONSTRAINT jobs_version_starts_at_1 CHECK (version >= 1)
);

-- The order that jobs are listed in. The region is there so that a dispatcher's list
-- passes over other regions without a look at their rows; an index by region first
-- would spare that too, and cost every change of a window a second index.
CREATE INDEX jobs_by_start ON jobs (start_utc, id, region);

-- Window and life are copied from the job with each write: so that a contractor's
-- time is one range of one index, and needs no look at the jobs.
--
-- The exclusion constraint is the last judge of the rule that a contractor is never in
-- two places. It judges at the commit: a batch may let two jobs change places.
CREATE TABLE job_assignments (
    job_id UUID NOT NULL,
    contractor_id UUID NOT NULL,
    position INTEGER NOT NULL,
    start_utc TIMESTAMPTZ NOT NULL,
    end_utc TIMESTAMPTZ NOT NULL,
    is_live BOOLEAN NOT NULL,
    CONSTRAINT job_assignments_pkey PRIMARY KEY (job_id, contractor_id),
    CONSTRAINT job_assignments_job_fkey
        FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE,
    CONSTRAINT job_assignments_contractor_fkey
        FOREIGN KEY (contractor_id) REFERENCES contractors (id),
    CONSTRAINT job_assignments_position_is_not_negative CHECK (position >= 0),
    CONSTRAINT job_assignments_end_after_start CHECK (end_utc > start_utc),
    CONSTRAINT job_assignments_do_not_overlap
        EXCLUDE USING gist (contractor_id WITH =, tstzrange(start_utc, end_utc) WITH &&)
        WHERE (is_live) DEFERRABLE INITIALLY DEFERRED
);

-- Serves the search for a contractor's busy windows and the list of a contractor's jobs.
CREATE INDEX job_assignments_by_contractor ON job_assignments (contractor_id, start_utc);

-- Events that are committed and that the log does not hold yet. No foreign key to the
-- job: an event is a fact, whatever becomes of the job's row. The payload is of a type
-- that keeps the text as it is, since it is sent as it is.
CREATE TABLE outbox (
    sequence BIGINT NOT NULL,
    event_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    schema_version BIGINT NOT NULL,
    job_id UUID NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    payload JSON NOT NULL,
    published_to JSON NOT NULL,
    actor_id TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (sequence),
    CONSTRAINT outbox_sequence_starts_at_1 CHECK (sequence >= 1)
);

-- Answers to be given again. Each belongs to the subject that used the key.
CREATE TABLE idempotency_keys (
    subject TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    receipt JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (subject, key),
    CONSTRAINT idempotency_keys_digest_is_sha256 CHECK (length(digest) = 32)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- One row: the last sequence that was taken. It is taken inside the transaction that
-- writes the event, and its lock is held to the commit: so sequences have no gap and
-- follow the order of commits, whichever node they come from. The room on its page lets
-- the row's versions stay there. The id tells this order of events from that of another
-- database, where nodes of both meet.
CREATE TABLE event_sequence (
    id BIGINT NOT NULL,
    last BIGINT NOT NULL,
    database_id UUID NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT event_sequence_pkey PRIMARY KEY (id),
    CONSTRAINT event_sequence_is_one_row CHECK (id = 1),
    CONSTRAINT event_sequence_is_not_negative CHECK (last >= 0)
) WITH (fillfactor = 10);

INSERT INTO event_sequence (id, last) VALUES (1, 0);
