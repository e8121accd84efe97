//! The walk along all events, logged or not, and what they say of the jobs.

use std::collections::HashMap;

use super::history::JobState;
use super::report::{Check, Faults};
use crate::jobs::{EVENT_BYTES_MAX, Event, JobId, Sequence};
use crate::store::{EventRecord, JobRecord, PAGE_ROWS_MAX, Store, StoreError};

/// How far the walk has come, and what it saw.
pub(super) struct Walk<'a> {
    store: &'a Store,
    /// All events up to here were taken.
    at: Sequence,
    /// The first event that there is, or would be.
    first: Sequence,
    /// The last event seen in the log.
    log_end: Sequence,
    jobs: HashMap<JobId, Tracked>,
    events: u64,
    job_rows: u64,
    /// Groups of events that were seen in the log.
    pub(super) groups_logged: u64,
    /// Contractors of the jobs that were compared.
    pub(super) assignments: u64,
    sequences: Faults,
    payloads: Faults,
    histories: Faults,
}

/// What is known of a job.
struct Tracked {
    /// None after an event that cannot be read: the next one begins anew.
    state: Option<JobState>,
    /// Whether its row was compared.
    is_compared: bool,
}

/// The events past a sequence, in order, up to where a page is complete.
struct EventPage {
    events: Vec<Found>,
    /// Up to here all that was committed before the reading is there.
    reach: Sequence,
}

/// An event, and where it was found.
struct Found {
    record: EventRecord,
    is_logged: bool,
    /// What is wrong about the place.
    complaint: Option<&'static str>,
}

impl<'a> Walk<'a> {
    /// Stands before the first event.
    pub(super) fn begin(store: &'a Store) -> Result<Self, StoreError> {
        let last = store.jobs.last_sequence()?;
        let first = lowest(store)?.unwrap_or(last + 1);
        Ok(Self {
            store,
            at: first - 1,
            first,
            log_end: 0,
            jobs: HashMap::new(),
            events: 0,
            job_rows: 0,
            groups_logged: 0,
            assignments: 0,
            sequences: Faults::default(),
            payloads: Faults::default(),
            histories: Faults::default(),
        })
    }

    /// Takes all events up to this one, which was committed, and none past it.
    pub(super) fn catch_up(&mut self, until: Sequence) -> Result<(), StoreError> {
        while self.at < until {
            let page = EventPage::read(self.store, self.at)?;
            let reach = page.reach.min(until);
            let within = |found: &Found| found.record.sequence <= reach;
            for found in page.events.into_iter().take_while(within) {
                if found.record.sequence > self.at + 1 {
                    self.pass_gap(found.record.sequence - 1)?;
                }
                self.at = found.record.sequence;
                self.take(&found);
            }
            if self.at < reach {
                self.pass_gap(reach)?;
            }
        }
        Ok(())
    }

    /// Goes on behind events that are not there. If the log was cut meanwhile, past
    /// where the walk stood, then nothing is known of any job.
    fn pass_gap(&mut self, last: Sequence) -> Result<(), StoreError> {
        let is_cut = lowest(self.store)?.is_none_or(|lowest| lowest > last);
        if is_cut {
            self.jobs.clear();
            self.first = last + 1;
        } else if self.at + 1 == last {
            self.sequences.add(|| format!("event {last} is missing"));
        } else {
            self.sequences.add(|| format!("events {} to {last} are missing", self.at + 1));
        }
        self.at = last;
        Ok(())
    }

    fn take(&mut self, found: &Found) {
        let record = &found.record;
        self.events += 1;
        if let Some(complaint) = found.complaint {
            self.sequences.add(|| format!("event {} {complaint}", record.sequence));
        }
        if found.is_logged {
            self.log_end = record.sequence;
            let groups = serde_json::from_str::<Vec<String>>(&record.published_to);
            self.groups_logged += groups.map_or(0, |groups| groups.len() as u64);
        }
        match read_payload(record) {
            Ok(event) => self.follow(&event),
            Err(complaint) => {
                self.payloads.add(|| format!("event {}: {complaint}", record.sequence));
                if let Ok(job_id) = record.job_id.parse() {
                    self.tracked(job_id).state = None;
                }
            }
        }
    }

    fn follow(&mut self, event: &Event) {
        let is_cut = self.first > 1;
        let is_known_in_part = self.jobs.get(&event.job_id).is_some_and(|job| job.state.is_none());
        let tracked = self.tracked(event.job_id);
        let (state, complaints) =
            JobState::after(tracked.state.as_ref(), event, is_cut || is_known_in_part);
        tracked.state = Some(state);
        for complaint in complaints {
            let Event { sequence, job_id, .. } = event;
            self.histories.add(|| format!("event {sequence} of job {job_id}: {complaint}"));
        }
    }

    fn tracked(&mut self, job_id: JobId) -> &mut Tracked {
        self.jobs.entry(job_id).or_insert(Tracked { state: None, is_compared: false })
    }

    /// Compares a job's row with what the events say, at the event up to which both
    /// were read.
    pub(super) fn compare(&mut self, record: &JobRecord) {
        self.job_rows += 1;
        self.assignments += record.contractor_ids.len() as u64;
        let Ok(id) = record.id.parse::<JobId>() else {
            self.histories.add(|| format!("job '{}': its id is no UUID", record.id));
            return;
        };
        let Some(tracked) = self.jobs.get_mut(&id) else {
            if self.first == 1 {
                self.histories.add(|| format!("job {id} has no event"));
            }
            return;
        };
        tracked.is_compared = true;
        let Some(state) = &tracked.state else {
            return;
        };
        let differences = state.differences(record);
        if !differences.is_empty() {
            let (parts, sequence) = (differences.join(", "), state.sequence);
            self.histories
                .add(|| format!("job {id} is not as its last event, {sequence}, says: {parts}"));
        }
    }

    /// Looks again for the jobs that have events and were on no page: one that was made
    /// meanwhile may sort before the pages that were still to be read.
    pub(super) fn look_for_absent_jobs(&mut self) -> Result<(), StoreError> {
        let is_absent = |(id, job): (&JobId, &Tracked)| (!job.is_compared).then_some(*id);
        let mut absent: Vec<JobId> = self.jobs.iter().filter_map(is_absent).collect();
        absent.sort_unstable();
        for id in absent {
            let before = uuid::Uuid::from_u128(id.0.as_u128().saturating_sub(1)).to_string();
            let (records, sequence) = self.store.jobs.job_records(&before, 1)?;
            self.catch_up(sequence)?;
            match records.first().filter(|record| record.id == id.to_string()) {
                Some(record) => self.compare(record),
                None => self.histories.add(|| format!("there are events of job {id}, and no job")),
            }
        }
        Ok(())
    }

    /// Looks for events that the outbox should have given to the log. With a log in
    /// another database the two overlap for a moment, and after a crash until the next
    /// start; then they hold the same, which was looked at on the way.
    pub(super) fn look_behind_the_log(&mut self) -> Result<(), StoreError> {
        if !self.store.log_shares_database {
            return Ok(());
        }
        let mut after = 0;
        while after < self.log_end {
            let records = self.store.jobs.outbox_records(after, PAGE_ROWS_MAX)?;
            let Some(last) = records.last() else {
                break;
            };
            after = last.sequence;
            for record in records.iter().filter(|record| record.sequence <= self.log_end) {
                let logged = self.store.log.log_records(record.sequence - 1, 1)?;
                if logged.first().is_some_and(|logged| logged.sequence == record.sequence) {
                    let text = || format!("event {} is logged and in the outbox", record.sequence);
                    self.sequences.add(text);
                }
            }
        }
        Ok(())
    }

    /// Looks for events past the last sequence that was taken.
    pub(super) fn look_past_the_end(&mut self) -> Result<(), StoreError> {
        let mut after = self.store.jobs.last_sequence()?;
        while after < Sequence::MAX {
            let page = EventPage::read(self.store, after)?;
            // Asked after the page was read, so that it covers all that was committed by then.
            let last = self.store.jobs.last_sequence()?;
            let within = page.events.iter().map(|found| found.record.sequence);
            for sequence in within.filter(|sequence| (last + 1..=page.reach).contains(sequence)) {
                self.sequences.add(|| {
                    format!("event {sequence} is past {last}, the last sequence that was taken")
                });
            }
            after = page.reach;
        }
        Ok(())
    }

    pub(super) fn checks(self) -> [Check; 3] {
        let range = match (self.first, self.at) {
            (1, 0) => "events 0".to_owned(),
            (1, last) => format!("events {}, sequences 1 to {last}", self.events),
            (first, last) if first > last => {
                format!("events 0, all up to {last} were cut from the log")
            }
            (first, last) => format!(
                "events {}, sequences {first} to {last}, those before were cut from the log",
                self.events
            ),
        };
        let check = |subject, claim, faults| Check { subject, claim, faults };
        [
            check(range, "in order, no gap", self.sequences),
            check(format!("payloads {}", self.events), "as their columns say", self.payloads),
            check(format!("jobs {}", self.job_rows), "as their events lead to", self.histories),
        ]
    }
}

impl EventPage {
    /// The outbox is read first: an event moves from there to the log, so it may be seen
    /// twice, but never missed.
    fn read(store: &Store, after: Sequence) -> Result<Self, StoreError> {
        let unlogged = store.jobs.outbox_records(after, PAGE_ROWS_MAX)?;
        let logged = store.log.log_records(after, PAGE_ROWS_MAX)?;
        let reach_of = |records: &[EventRecord]| {
            records.last().filter(|_| records.len() == PAGE_ROWS_MAX).map(|last| last.sequence)
        };
        let reach = [reach_of(&unlogged), reach_of(&logged)].into_iter().flatten().min();
        Ok(Self { events: merged(unlogged, logged), reach: reach.unwrap_or(Sequence::MAX) })
    }
}

/// The records of both in one order, each sequence once.
fn merged(unlogged: Vec<EventRecord>, logged: Vec<EventRecord>) -> Vec<Found> {
    let log_end = logged.last().map_or(0, |last| last.sequence);
    let mut events = Vec::with_capacity(unlogged.len() + logged.len());
    let mut unlogged = unlogged.into_iter().peekable();
    let behind = |record: EventRecord| {
        let complaint =
            (record.sequence < log_end).then_some("is in the outbox alone, and the log is past it");
        Found { record, is_logged: false, complaint }
    };
    for record in logged {
        while let Some(earlier) = unlogged.next_if(|other| other.sequence < record.sequence) {
            events.push(behind(earlier));
        }
        let twin = unlogged.next_if(|other| other.sequence == record.sequence);
        let complaint = twin
            .filter(|twin| *twin != record)
            .map(|_| "is another one in the outbox than in the log");
        events.push(Found { record, is_logged: true, complaint });
    }
    events.extend(unlogged.map(behind));
    events
}

/// The first event that there is, logged or not.
fn lowest(store: &Store) -> Result<Option<Sequence>, StoreError> {
    let unlogged = store.jobs.outbox_records(0, 1)?;
    let logged = store.log.log_records(0, 1)?;
    Ok(unlogged.iter().chain(&logged).map(|record| record.sequence).min())
}

/// The event, if its payload is one as this program writes it and all columns are the
/// payload's.
fn read_payload(record: &EventRecord) -> Result<Event, String> {
    let bytes = record.payload.len();
    if bytes > EVENT_BYTES_MAX {
        return Err(format!("its payload has {bytes} bytes, more than {EVENT_BYTES_MAX}"));
    }
    let event: Event = serde_json::from_str(&record.payload)
        .map_err(|error| format!("its payload is no event: {error}"))?;
    let written = serde_json::to_string(&event).map_err(|error| error.to_string())?;
    if written != record.payload {
        return Err("its payload is not in the form that events are written in".to_owned());
    }
    let groups = serde_json::from_str::<Vec<String>>(&record.published_to);
    let columns = [
        ("sequence", event.sequence == record.sequence),
        ("event_id", event.event_id.to_string() == record.event_id),
        ("event_type", event.event_type.as_str() == record.event_type),
        ("schema_version", i64::from(event.schema_version) == record.schema_version),
        ("job_id", event.job_id.to_string() == record.job_id),
        ("region", event.region.as_str() == record.region),
        ("actor_id", event.actor.id == record.actor_id),
        ("correlation_id", event.correlation_id == record.correlation_id),
        ("occurred_at", event.occurred_at.to_string() == record.occurred_at),
        ("published_to", groups.is_ok_and(|groups| groups == event.groups())),
    ];
    let differing: Vec<&str> =
        columns.iter().filter(|(_, is_same)| !is_same).map(|(name, _)| *name).collect();
    if differing.is_empty() {
        Ok(event)
    } else {
        Err(format!("its payload says otherwise than its {}", differing.join(", ")))
    }
}
