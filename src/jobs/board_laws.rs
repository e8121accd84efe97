//! What holds after any commands, and for events of any content.

use proptest::prelude::*;

use super::*;
use crate::jobs::{
    ACTOR_NAME_BYTES_MAX, CONTRACTORS_PER_JOB_MAX, CORRELATION_ID_BYTES_MAX, EVENT_BYTES_MAX,
    REASON_BYTES_MAX, SUBJECT_BYTES_MAX, TITLE_BYTES_MAX, bounded_text, dispatch_group,
};

/// A text of exactly this many bytes in JSON, with characters that JSON escapes.
fn text_of(bytes: usize) -> String {
    let text = format!("{}{}", "\"\\".repeat(bytes / 8), "é".repeat(bytes / 4));
    let text = format!("{text}{}", "x".repeat(bytes - bytes / 8 * 4 - bytes / 4 * 2));
    assert!(bounded_text("text", &text, bytes).is_ok());
    assert!(bounded_text("text", &text, bytes - 1).is_err());
    text
}

#[test]
fn no_event_passes_2_kib() {
    let crew = |_| ContractorId::fresh();
    let before: Vec<_> = (0..CONTRACTORS_PER_JOB_MAX).map(crew).collect();
    let after: Vec<_> = (0..CONTRACTORS_PER_JOB_MAX).map(crew).collect();
    let longest_zone =
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).max_by_key(|n| n.len());
    let job = Job {
        title: text_of(TITLE_BYTES_MAX),
        region: region(&"r".repeat(63)),
        timezone: longest_zone.expect("there are zones").to_owned(),
        version: Version::MAX,
        ..job(hours(9, 10), &after)
    };
    let actor = Actor {
        id: text_of(SUBJECT_BYTES_MAX),
        role: Role::Contractor,
        name: Some(text_of(ACTOR_NAME_BYTES_MAX)),
    };
    let reason = || Some(text_of(REASON_BYTES_MAX));
    for detail in [
        EventDetail::created(job.window),
        EventDetail::assigned(job.window, before),
        EventDetail::rescheduled(job.window, job.window, reason()),
        EventDetail::cancelled(job.window, reason()),
    ] {
        let correlation_id = "c".repeat(CORRELATION_ID_BYTES_MAX);
        let event = Event::of(&job, detail, EventId::fresh(), actor.clone(), correlation_id);
        let event = event.committed(u64::MAX);
        let bytes = event.payload.len();
        assert!(bytes <= EVENT_BYTES_MAX, "{}: {bytes}", event.event_type.as_str());
    }
}

/// What a random command does, on places of small lists.
#[derive(Debug, Clone)]
enum Step {
    Create { start: i64, length: i64, crew: Vec<usize> },
    Assign { job: usize, crew: Vec<usize> },
    Reschedule { job: usize, start: i64, length: i64 },
    Cancel { job: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let crew = || prop::collection::vec(0_usize..3, 0..3);
    prop_oneof![
        (0_i64..9, 1_i64..4, crew()).prop_map(|(start, length, crew)| Step::Create {
            start,
            length,
            crew
        }),
        (0_usize..8, crew()).prop_map(|(job, crew)| Step::Assign { job, crew }),
        (0_usize..8, 0_i64..9, 1_i64..4).prop_map(|(job, start, length)| Step::Reschedule {
            job,
            start,
            length
        }),
        (0_usize..8).prop_map(|job| Step::Cancel { job }),
    ]
}

/// The command, if there is a job for it.
fn command(step: &Step, board: &Board, crew: &[Contractor; 3]) -> Option<Command> {
    let ids = |places: &[usize]| {
        let ids: BTreeSet<ContractorId> = places.iter().map(|place| crew[*place].id).collect();
        ids.into_iter().collect::<Vec<_>>()
    };
    let pick = |place: usize| {
        board.jobs.values().nth(place % board.jobs.len().max(1)).map(|slot| &slot.job)
    };
    Some(match step {
        Step::Create { start, length, crew } => {
            create("north", hours(*start, start + length), &ids(crew))
        }
        Step::Assign { job, crew } => assign(pick(*job)?, &ids(crew)),
        Step::Reschedule { job, start, length } => {
            reschedule(pick(*job)?, hours(*start, start + length))
        }
        Step::Cancel { job } => cancel(pick(*job)?),
    })
}

/// The audience that the contract gives an event, from the job before and after it.
fn audience(before: Option<&Job>, after: &Job) -> BTreeSet<String> {
    let assigned = before.into_iter().chain([after]).flat_map(|job| &job.contractor_ids);
    let mut groups: BTreeSet<String> = assigned.map(|id| contractor_group(*id)).collect();
    groups.insert(dispatch_group(&after.region));
    groups
}

fn assert_nobody_is_in_two_places(board: &Board, crew: &[Contractor; 3]) {
    for one in crew {
        let mut windows: Vec<Window> = board
            .jobs
            .values()
            .map(|slot| &slot.job)
            .filter(|job| job.status.is_live() && job.contractor_ids.contains(&one.id))
            .map(|job| job.window)
            .collect();
        windows.sort_by_key(|window| window.start());
        for pair in windows.windows(2) {
            assert!(!pair[0].overlaps(pair[1]), "{pair:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_commands_leaves_an_overlap_or_a_version_jump(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let crew = [(); 3].map(|()| contractor("north"));
        let board = &mut board(&[], &[&crew[0], &crew[1], &crew[2]]);
        for step in &steps {
            let Some(command) = command(step, board, &crew) else { continue };
            let known: BTreeMap<JobId, Job> =
                board.jobs.iter().map(|(id, slot)| (*id, slot.job.clone())).collect();
            if let Ok(Decision::Changed { job, event, .. }) =
                board.decide(&by(admin(), command), now())
            {
                let before = known.get(&job.id);
                let version_before = before.map_or(0, |job| job.version);
                prop_assert_eq!(job.version, version_before + 1);
                prop_assert_eq!(event.job_version, job.version);
                let groups = event.groups();
                let told: BTreeSet<String> = groups.iter().cloned().collect();
                prop_assert_eq!(told.len(), groups.len(), "none is told twice");
                prop_assert_eq!(told, audience(before, &job));
                let committed = event.committed(u64::MAX);
                prop_assert!(committed.payload.len() <= EVENT_BYTES_MAX);
                let read: Event = serde_json::from_str(&committed.payload).expect("an event");
                prop_assert_eq!(read.committed(u64::MAX), committed, "it is read as it was written");
            } else {
                let after = board.jobs.iter().map(|(id, slot)| (*id, slot.job.clone())).collect();
                prop_assert_eq!(known, after, "a refusal leaves no trace");
            }
            assert_nobody_is_in_two_places(board, &crew);
        }
    }
}
