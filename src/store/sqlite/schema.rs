//! The tables, as the migrations leave them; a test compares the two.

diesel::table! {
    /// Who carries out jobs.
    contractors (id) {
        id -> Text,
        name -> Text,
        region -> Text,
        timezone -> Text,
        created_at -> Text,
    }
}

diesel::table! {
    /// Jobs as they stand.
    jobs (id) {
        id -> Text,
        title -> Text,
        customer -> Text,
        address -> Text,
        region -> Text,
        timezone -> Text,
        start_utc -> Text,
        end_utc -> Text,
        status -> Text,
        cancellation_reason -> Nullable<Text>,
        version -> BigInt,
        created_at -> Text,
        updated_at -> Text,
    }
}

diesel::table! {
    /// Whose time a job takes up, and when.
    job_assignments (job_id, contractor_id) {
        job_id -> Text,
        contractor_id -> Text,
        position -> Integer,
        start_utc -> Text,
        end_utc -> Text,
        is_live -> Bool,
    }
}

diesel::table! {
    /// Events that are not in the log yet.
    outbox (sequence) {
        sequence -> BigInt,
        event_id -> Text,
        event_type -> Text,
        schema_version -> BigInt,
        job_id -> Text,
        region -> Text,
        payload -> Text,
        published_to -> Text,
        actor_id -> Text,
        correlation_id -> Text,
        occurred_at -> Text,
        created_at -> Text,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    /// Answers that are given again.
    idempotency_keys (subject, key) {
        subject -> Text,
        key -> Text,
        digest -> Binary,
        receipt -> Text,
        created_at -> Text,
    }
}

diesel::table! {
    /// The last sequence, in one row.
    event_sequence (id) {
        id -> BigInt,
        last -> BigInt,
    }
}

diesel::table! {
    /// Every event, by sequence.
    event_log (sequence) {
        sequence -> BigInt,
        event_id -> Text,
        event_type -> Text,
        schema_version -> BigInt,
        job_id -> Text,
        region -> Text,
        payload -> Text,
        published_to -> Text,
        actor_id -> Text,
        correlation_id -> Text,
        occurred_at -> Text,
        published_at -> Nullable<Text>,
        logged_at -> Text,
        node_id -> Text,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    /// The groups that each event was announced to.
    event_log_groups (group_name, sequence) {
        group_name -> Text,
        sequence -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(jobs, job_assignments);

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
