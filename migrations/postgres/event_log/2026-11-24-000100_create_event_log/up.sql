-- Holds every event once, by sequence, for those who were away. In a folder of its
-- own, because the log may live in another database than the jobs; its version numbers
-- differ from the jobs' ones, because it may live in the same.

CREATE TABLE event_log (
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
    published_at TIMESTAMPTZ,
    logged_at TIMESTAMPTZ NOT NULL,
    node_id TEXT NOT NULL,
    CONSTRAINT event_log_pkey PRIMARY KEY (sequence),
    CONSTRAINT event_log_event_id_key UNIQUE (event_id),
    CONSTRAINT event_log_sequence_starts_at_1 CHECK (sequence >= 1)
);

CREATE INDEX event_log_by_job ON event_log (job_id, sequence);
CREATE INDEX event_log_by_region ON event_log (region, sequence);

-- Who was told what: the groups of published_to, in a form that can be searched.
-- No foreign key to the log: it would need an index of its own, the most often written
-- one of all, and both rows come and go in the same transactions.
CREATE TABLE event_log_groups (
    group_name TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    CONSTRAINT event_log_groups_pkey PRIMARY KEY (group_name, sequence)
);
