//! What a job's events lead to, one event after the other.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::jobs::{Event, EventDetail, JobStatus, NO_REASON, Sequence, Timestamp, Version};
use crate::store::JobRecord;

/// A job as its events up to one of them say. Small, since there is one per job of the
/// database: of texts and lists it holds a digest.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobState {
    /// The last event.
    pub(super) sequence: Sequence,
    version: Version,
    start: Timestamp,
    end: Timestamp,
    changed_at: Timestamp,
    contractors: u64,
    /// Title, region and time zone, which nothing changes.
    texts: u64,
    /// The reason, if it is cancelled.
    cancelled: Option<u64>,
}

impl JobState {
    /// The job after an event, and what is wrong with the step there from `before`. A
    /// job of which nothing is known begins with its creation, unless the log was cut.
    pub(super) fn after(
        before: Option<&Self>,
        event: &Event,
        is_cut: bool,
    ) -> (Self, Vec<&'static str>) {
        let after = Self::of(event);
        let is_creation = matches!(event.detail, EventDetail::Created { .. });
        let complaints = match before {
            Some(before) => before.complaints_about(event, &after),
            None if is_creation != (after.version == 1) => {
                vec!["it is of version 1 or a creation, and not both"]
            }
            None if !is_creation && !is_cut => vec!["the events of the job before it are missing"],
            None => Vec::new(),
        };
        (after, complaints)
    }

    /// An event says all that there is to say of its job.
    fn of(event: &Event) -> Self {
        let (start, end) = match event.detail {
            EventDetail::Created { start_utc, end_utc }
            | EventDetail::Assigned { start_utc, end_utc, .. }
            | EventDetail::Cancelled { start_utc, end_utc, .. } => (start_utc, end_utc),
            EventDetail::Rescheduled { new_start_utc, new_end_utc, .. } => {
                (new_start_utc, new_end_utc)
            }
        };
        let cancelled = match &event.detail {
            EventDetail::Cancelled { reason, .. } => Some(digest(reason.as_str())),
            EventDetail::Created { .. }
            | EventDetail::Assigned { .. }
            | EventDetail::Rescheduled { .. } => None,
        };
        let contractors: Vec<String> =
            event.contractor_ids.iter().map(ToString::to_string).collect();
        Self {
            sequence: event.sequence,
            version: event.job_version,
            start,
            end,
            changed_at: event.occurred_at,
            contractors: digest(contractors.as_slice()),
            texts: digest(&(event.title.as_str(), event.region.as_str(), event.timezone.as_str())),
            cancelled,
        }
    }

    fn complaints_about(&self, event: &Event, after: &Self) -> Vec<&'static str> {
        let (previous_window, previous_contractors) = match &event.detail {
            EventDetail::Created { .. } | EventDetail::Cancelled { .. } => {
                ((after.start, after.end), after.contractors)
            }
            EventDetail::Assigned { previous_contractor_ids, .. } => {
                let previous: Vec<String> =
                    previous_contractor_ids.iter().map(ToString::to_string).collect();
                ((after.start, after.end), digest(previous.as_slice()))
            }
            EventDetail::Rescheduled { previous_start_utc, previous_end_utc, .. } => {
                ((*previous_start_utc, *previous_end_utc), after.contractors)
            }
        };
        let is_creation = matches!(event.detail, EventDetail::Created { .. });
        [
            (
                Some(after.version) != self.version.checked_add(1),
                "its version does not rise by one",
            ),
            (is_creation, "the job was created before"),
            (self.cancelled.is_some(), "the job was cancelled before"),
            (previous_window != (self.start, self.end), "the window before was another one"),
            (previous_contractors != self.contractors, "the contractors before were others"),
            (after.texts != self.texts, "title, region or time zone were others before"),
        ]
        .into_iter()
        .filter_map(|(is_wrong, complaint)| is_wrong.then_some(complaint))
        .collect()
    }

    /// In what a row is not as the events say.
    pub(super) fn differences(&self, row: &JobRecord) -> Vec<&'static str> {
        let status =
            if self.cancelled.is_some() { JobStatus::Cancelled } else { JobStatus::Scheduled };
        // An event has a text where the row has none.
        let reason = self
            .cancelled
            .is_some()
            .then(|| digest(row.cancellation_reason.as_deref().unwrap_or(NO_REASON)));
        let texts = (row.title.as_str(), row.region.as_str(), row.timezone.as_str());
        let has_window =
            row.start_utc == self.start.to_string() && row.end_utc == self.end.to_string();
        [
            (row.version == i64::from(self.version), "version"),
            (has_window, "window"),
            (row.status == status.as_str(), "status"),
            (reason == self.cancelled, "cancellation reason"),
            (digest(row.contractor_ids.as_slice()) == self.contractors, "contractors"),
            (digest(&texts) == self.texts, "title, region or time zone"),
            (row.updated_at == self.changed_at.to_string(), "time of the last change"),
        ]
        .into_iter()
        .filter_map(|(is_same, part)| (!is_same).then_some(part))
        .collect()
    }
}

fn digest<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
