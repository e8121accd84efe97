//! The rules, one by one; [`laws`] has what holds whatever happens.

use std::sync::Arc;

use super::*;
use crate::jobs::{Actor, EventId, EventType, Region, Regions, Role, Subject, contractor_group};

#[path = "board_laws.rs"]
mod laws;

fn now() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").expect("a time")
}

fn hours(start: i64, end: i64) -> Window {
    let at = |hour: i64| now().saturating_add_millis(hour * 3_600_000);
    Window::new(at(start), at(end)).expect("a window")
}

fn region(name: &str) -> Region {
    Region::parse(name).expect("a region's name")
}

fn caller(role: Role, regions: &[&str], contractor_id: Option<ContractorId>) -> Caller {
    Caller {
        actor: Actor { id: format!("{}-1", role.as_str()), role, name: None },
        is_admin: role == Role::Admin,
        regions: Regions::Named(regions.iter().map(|name| region(name)).collect()),
        contractor_id,
    }
}

fn admin() -> Caller {
    caller(Role::Admin, &[], None)
}

fn by(caller: Caller, command: Command) -> CommandRequest {
    CommandRequest {
        caller: Arc::new(caller),
        correlation_id: "request-1".into(),
        event_id: EventId::fresh(),
        if_match: None,
        idempotency: None,
        trace: None,
        command,
    }
}

fn expecting(version: Version, request: CommandRequest) -> CommandRequest {
    CommandRequest { if_match: Some(version), ..request }
}

fn keyed(key: &str, digest: u8, request: CommandRequest) -> CommandRequest {
    let idempotency = Some(Idempotency { key: key.into(), digest: [digest; 32] });
    CommandRequest { idempotency, ..request }
}

fn contractor(name: &str) -> Contractor {
    Contractor {
        id: ContractorId::fresh(),
        name: "Ann".into(),
        region: region(name),
        timezone: "Europe/Zurich".into(),
        created_at: now(),
    }
}

/// A live job of region north, at version 3.
fn job(window: Window, contractor_ids: &[ContractorId]) -> Job {
    Job {
        id: JobId::fresh(),
        title: "Repair the heat pump".into(),
        customer: "Muster AG".into(),
        address: "Bahnhofstrasse 1".into(),
        region: region("north"),
        timezone: "Europe/Zurich".into(),
        window,
        status: JobStatus::Scheduled,
        contractor_ids: contractor_ids.to_vec(),
        cancellation_reason: None,
        version: 3,
        created_at: now(),
        updated_at: now(),
    }
}

/// A board on these jobs, with all the time that they take up.
fn board(jobs: &[&Job], contractors: &[&Contractor]) -> Board {
    let jobs: Vec<Job> = jobs.iter().map(|job| (*job).clone()).collect();
    let busy: Vec<BusyWindow> = jobs
        .iter()
        .filter(|job| job.status.is_live())
        .flat_map(|job| {
            let busy = |id: &ContractorId| BusyWindow {
                contractor_id: *id,
                job_id: job.id,
                window: job.window,
            };
            job.contractor_ids.iter().map(busy).collect::<Vec<_>>()
        })
        .collect();
    let contractors = contractors.iter().map(|one| (*one).clone()).collect();
    let mut board = Board::new(jobs, contractors, Vec::new());
    board.set_busy(busy);
    board
}

fn create(name: &str, window: Window, contractor_ids: &[ContractorId]) -> Command {
    let like = job(window, contractor_ids);
    Command::CreateJob(CreateJob {
        id: like.id,
        title: like.title,
        customer: like.customer,
        address: like.address,
        region: region(name),
        timezone: like.timezone,
        window,
        contractor_ids: like.contractor_ids,
    })
}

fn assign(job: &Job, contractor_ids: &[ContractorId]) -> Command {
    Command::AssignJob(AssignJob { job_id: job.id, contractor_ids: contractor_ids.to_vec() })
}

fn reschedule(job: &Job, window: Window) -> Command {
    Command::RescheduleJob(RescheduleJob { job_id: job.id, window, reason: None })
}

fn cancel(job: &Job) -> Command {
    Command::CancelJob(CancelJob { job_id: job.id, reason: None })
}

/// `changed`, `unchanged` and so on, or the refusal's code.
fn outcome(decided: &Result<Decision, Refusal>) -> &'static str {
    match decided {
        Ok(Decision::Changed { .. }) => "changed",
        Ok(Decision::Unchanged(_)) => "unchanged",
        Ok(Decision::ContractorCreated(_)) => "contractor created",
        Ok(Decision::Repeated(_)) => "repeated",
        Ok(Decision::RepeatedInBatch(_)) => "repeated in batch",
        Err(refusal) => refusal.code(),
    }
}

fn changed(decided: Result<Decision, Refusal>) -> (Job, Event) {
    match decided {
        Ok(Decision::Changed { job, event, .. }) => (*job, *event),
        other => panic!("nothing changed: {other:?}"),
    }
}

#[test]
fn who_may_not_see_a_job_is_told_that_there_is_none() {
    let (ann, bob) = (contractor("north"), contractor("north"));
    let job = job(hours(9, 10), &[ann.id]);
    let own = |one: &Contractor| caller(Role::Contractor, &[], Some(one.id));
    let everywhere = Caller { regions: Regions::All, ..caller(Role::Dispatcher, &[], None) };
    for (who, caller, expected) in [
        ("admin", admin(), "changed"),
        (
            "dispatcher of the region",
            caller(Role::Dispatcher, &["south", "north"], None),
            "changed",
        ),
        ("dispatcher of all regions", everywhere, "changed"),
        ("dispatcher of another region", caller(Role::Dispatcher, &["south"], None), "not_found"),
        ("dispatcher of none", caller(Role::Dispatcher, &[], None), "not_found"),
        ("assigned contractor", own(&ann), "forbidden"),
        ("another contractor", own(&bob), "not_found"),
    ] {
        for command in [assign(&job, &[]), reschedule(&job, hours(1, 2)), cancel(&job)] {
            let decided = board(&[&job], &[&ann, &bob]).decide(&by(caller.clone(), command), now());
            assert_eq!(outcome(&decided), expected, "{who}");
        }
    }
}

#[test]
fn only_who_plans_a_region_adds_to_it() {
    let add = Command::CreateContractor(CreateContractor {
        id: ContractorId::fresh(),
        name: "Ann".into(),
        region: region("north"),
        timezone: "Europe/Zurich".into(),
    });
    for (caller, added, created) in [
        (admin(), "contractor created", "changed"),
        (caller(Role::Dispatcher, &["north"], None), "contractor created", "changed"),
        (caller(Role::Dispatcher, &["south"], None), "forbidden", "forbidden"),
        (caller(Role::Contractor, &[], Some(ContractorId::fresh())), "forbidden", "forbidden"),
    ] {
        let board = &mut board(&[], &[]);
        assert_eq!(outcome(&board.decide(&by(caller.clone(), add.clone()), now())), added);
        let request = by(caller, create("north", hours(9, 10), &[]));
        assert_eq!(outcome(&board.decide(&request, now())), created);
    }
}

#[test]
fn the_version_is_looked_at_before_the_status_and_after_the_sight() {
    let gone = Job { status: JobStatus::Cancelled, ..job(hours(9, 10), &[]) };
    let done = Job { status: JobStatus::Completed, ..job(hours(9, 10), &[]) };
    let live = Job { status: JobStatus::InProgress, ..job(hours(9, 10), &[]) };
    let foreign = caller(Role::Dispatcher, &["south"], None);
    for (job, caller, if_match, expected) in [
        (&live, admin(), 3, "changed"),
        (&live, admin(), 2, "version_mismatch"),
        (&live, foreign, 2, "not_found"),
        (&gone, admin(), 2, "version_mismatch"),
        (&gone, admin(), 3, "job_cancelled"),
        (&done, admin(), 3, "job_completed"),
    ] {
        for command in [assign(job, &[]), reschedule(job, hours(1, 2)), cancel(job)] {
            // An assignment to the same nobody would be no change.
            if expected == "changed" && matches!(command, Command::AssignJob(_)) {
                continue;
            }
            let request = expecting(if_match, by(caller.clone(), command));
            assert_eq!(outcome(&board(&[job], &[]).decide(&request, now())), expected);
        }
    }
}

#[test]
fn a_mismatch_carries_the_job_as_the_batch_has_it_by_then() {
    let job = job(hours(9, 10), &[]);
    let board = &mut board(&[&job], &[]);
    let first = expecting(3, by(admin(), reschedule(&job, hours(10, 11))));
    assert_eq!(outcome(&board.decide(&first, now())), "changed");
    let second = expecting(3, by(admin(), reschedule(&job, hours(11, 12))));
    match board.decide(&second, now()) {
        Err(Refusal::VersionMismatch(shown)) => {
            assert_eq!((shown.version, shown.window), (4, hours(10, 11)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_so_already_changes_nothing() {
    let (ann, bob) = (contractor("north"), contractor("north"));
    let job = job(hours(9, 10), &[ann.id, bob.id]);
    for command in [
        reschedule(&job, hours(9, 10)),
        assign(&job, &[ann.id, bob.id]),
        assign(&job, &[bob.id, ann.id]),
    ] {
        let board = &mut board(&[&job], &[&ann, &bob]);
        let decided = board.decide(&by(admin(), command), now());
        assert_eq!(decided, Ok(Decision::Unchanged(Box::new(job.clone()))));
        assert_eq!(board.job_changes().count(), 0);
    }
}

#[test]
fn windows_may_touch_and_not_overlap() {
    let ann = contractor("north");
    let before = job(hours(8, 9), &[ann.id]);
    let after = job(hours(11, 12), &[ann.id]);
    for (start, end, conflicts) in [
        (9, 11, vec![]),
        (7, 8, vec![]),
        (12, 13, vec![]),
        (8, 9, vec![before.id]),
        (8, 10, vec![before.id]),
        (10, 13, vec![after.id]),
        (7, 13, vec![before.id, after.id]),
    ] {
        let new = by(admin(), create("north", hours(start, end), &[ann.id]));
        let refusal = board(&[&before, &after], &[&ann]).decide(&new, now()).err();
        let expected = (!conflicts.is_empty()).then_some(Refusal::ScheduleConflict(conflicts));
        assert_eq!(refusal, expected, "{start} to {end}");
    }
}

#[test]
fn a_conflict_needs_a_live_job_of_the_same_contractor() {
    let (ann, bob) = (contractor("north"), contractor("north"));
    let busy = job(hours(9, 10), &[ann.id]);
    let gone = Job { status: JobStatus::Cancelled, ..job(hours(11, 12), &[ann.id]) };
    let free = job(hours(9, 12), &[]);
    let jobs = [&busy, &gone, &free];
    for (name, command, expected) in [
        ("to the busy one", assign(&free, &[bob.id, ann.id]), "schedule_conflict"),
        ("to the other one", assign(&free, &[bob.id]), "changed"),
        ("to nobody's window", reschedule(&free, hours(9, 10)), "changed"),
        ("into the cancelled one", reschedule(&busy, hours(11, 12)), "changed"),
        ("over its own window", reschedule(&busy, hours(9, 11)), "changed"),
    ] {
        let decided = board(&jobs, &[&ann, &bob]).decide(&by(admin(), command), now());
        assert_eq!(outcome(&decided), expected, "{name}");
    }
}

#[test]
fn later_commands_of_a_batch_see_what_earlier_ones_did() {
    let ann = contractor("north");
    let (one, other) = (job(hours(8, 9), &[ann.id]), job(hours(10, 11), &[ann.id]));
    let board = &mut board(&[&one, &other], &[&ann]);
    for (command, expected) in [
        (reschedule(&other, hours(8, 9)), "schedule_conflict"),
        (reschedule(&one, hours(12, 13)), "changed"),
        (reschedule(&other, hours(8, 9)), "changed"),
        (cancel(&other), "changed"),
        (reschedule(&one, hours(8, 9)), "changed"),
        (cancel(&other), "job_cancelled"),
        (assign(&one, &[]), "changed"),
        (create("north", hours(8, 9), &[ann.id]), "changed"),
    ] {
        assert_eq!(outcome(&board.decide(&by(admin(), command), now())), expected);
    }
    let versions = board.job_changes().map(|change| (change.loaded_version, change.job.version));
    let mut versions: Vec<_> = versions.collect();
    versions.sort();
    assert_eq!(versions, [(None, 1), (Some(3), 5), (Some(3), 6)]);
}

#[test]
fn a_job_is_for_contractors_of_its_region() {
    let (ann, south) = (contractor("north"), contractor("south"));
    let job = job(hours(9, 10), &[]);
    for (stranger, expected) in
        [(ann.id, "changed"), (south.id, "invalid_field"), (ContractorId::fresh(), "invalid_field")]
    {
        for command in [assign(&job, &[stranger]), create("north", hours(9, 10), &[stranger])] {
            let decided = board(&[&job], &[&ann, &south]).decide(&by(admin(), command), now());
            assert_eq!(outcome(&decided), expected);
        }
    }
}

#[test]
fn each_event_is_announced_to_whom_it_concerns() {
    let [ann, bob, eve] = [(); 3].map(|()| contractor("north"));
    let job = job(hours(9, 10), &[ann.id, bob.id]);
    let crew = [&ann, &bob, &eve];
    for (command, event_type, told) in [
        (create("north", hours(1, 2), &[eve.id]), EventType::JobCreated, vec![eve.id]),
        (assign(&job, &[eve.id, ann.id]), EventType::JobAssigned, vec![eve.id, ann.id, bob.id]),
        (assign(&job, &[]), EventType::JobAssigned, vec![ann.id, bob.id]),
        (reschedule(&job, hours(1, 2)), EventType::JobRescheduled, vec![ann.id, bob.id]),
        (cancel(&job), EventType::JobCancelled, vec![ann.id, bob.id]),
    ] {
        let decided = board(&[&job], &crew).decide(&by(admin(), command), now());
        let event = changed(decided).1.committed(7);
        assert_eq!(event.event_type, event_type);
        let mut expected = vec!["dispatch/north".to_owned()];
        expected.extend(told.into_iter().map(contractor_group));
        assert_eq!(event.groups, expected);
    }
}

#[test]
fn the_events_tell_what_was_before() {
    let (ann, bob) = (contractor("north"), contractor("north"));
    let before = job(hours(9, 10), &[ann.id]);
    let detail_of = |command| {
        let board = &mut board(&[&before], &[&ann, &bob]);
        changed(board.decide(&by(admin(), command), now())).1.detail
    };
    let moved = EventDetail::rescheduled(hours(9, 10), hours(10, 11), None);
    assert_eq!(detail_of(reschedule(&before, hours(10, 11))), moved);
    let assigned = EventDetail::assigned(hours(9, 10), vec![ann.id]);
    assert_eq!(detail_of(assign(&before, &[bob.id])), assigned);
    let cancelled = EventDetail::cancelled(hours(9, 10), None);
    assert_eq!(detail_of(cancel(&before)), cancelled);
}

#[test]
fn a_refused_command_leaves_no_trace() {
    let ann = contractor("north");
    let (one, other) = (job(hours(8, 9), &[ann.id]), job(hours(10, 11), &[ann.id]));
    let stranger = ContractorId::fresh();
    for command in [
        reschedule(&one, hours(10, 11)),
        create("north", hours(8, 9), &[ann.id]),
        create("north", hours(1, 2), &[stranger]),
        assign(&one, &[stranger]),
    ] {
        let board = &mut board(&[&one, &other], &[&ann]);
        let before = (board.jobs.len(), board.busy.clone());
        let request = keyed("key", 1, by(admin(), command));
        assert!(board.decide(&request, now()).is_err());
        assert_eq!(board.job_changes().count(), 0);
        assert_eq!((board.jobs.len(), board.busy.clone()), before);
        // Its key is not used up either.
        let retry = keyed("key", 2, by(admin(), cancel(&other)));
        assert_eq!(outcome(&board.decide(&retry, now())), "changed");
    }
}

#[test]
fn a_key_gives_the_same_answer_to_the_same_request_of_the_same_caller() {
    let job = job(hours(9, 10), &[]);
    let receipt = Receipt { subject: Subject::Job(job.clone()), created: false, event: None };
    let stored = StoredReceipt {
        subject: "admin-1".into(),
        key: "kept".into(),
        digest: [1; 32],
        receipt: receipt.clone(),
    };
    let mut board = Board::new(vec![job.clone()], Vec::new(), vec![stored]);
    let dispatcher = caller(Role::Dispatcher, &["north"], None);
    let to = |hour| reschedule(&job, hours(hour, hour + 1));
    for (place, (key, digest, caller, command, expected)) in [
        ("kept", 1, admin(), to(10), "repeated"),
        ("kept", 2, admin(), to(10), "idempotency_key_reused"),
        ("kept", 2, dispatcher, to(10), "changed"),
        ("new", 1, admin(), to(11), "changed"),
        ("new", 1, admin(), to(11), "repeated in batch"),
        ("new", 2, admin(), to(12), "idempotency_key_reused"),
        ("same", 1, admin(), to(11), "unchanged"),
        ("same", 1, admin(), to(11), "repeated in batch"),
    ]
    .into_iter()
    .enumerate()
    {
        let decided = board.decide(&keyed(key, digest, by(caller, command)), now());
        assert_eq!(outcome(&decided), expected, "{place}");
        match decided {
            Ok(Decision::Repeated(kept)) => assert_eq!(*kept, receipt),
            Ok(Decision::RepeatedInBatch(earlier)) => assert_eq!(earlier + 1, place),
            _ => {}
        }
    }
}

#[test]
fn a_clock_that_was_set_back_makes_no_job_older() {
    let job = job(hours(9, 10), &[]);
    let earlier = now().saturating_add_millis(-1);
    let decided = board(&[&job], &[]).decide(&by(admin(), cancel(&job)), earlier);
    assert_eq!(changed(decided).0.updated_at, now());
}

#[test]
fn what_a_batch_names_is_loaded() {
    let (ann, bob) = (contractor("north"), contractor("north"));
    let (one, other) = (job(hours(8, 9), &[ann.id]), job(hours(10, 11), &[]));
    let requests = [
        keyed("key", 1, by(admin(), reschedule(&one, hours(12, 13)))),
        by(admin(), assign(&other, &[bob.id])),
        by(admin(), cancel(&other)),
    ];
    let needs = Needs::of(&requests);
    assert_eq!(needs.jobs, BTreeSet::from([one.id, other.id]));
    assert_eq!(needs.contractors, BTreeSet::from([bob.id]));
    assert_eq!(needs.keys, BTreeSet::from([("admin-1".to_owned(), "key".to_owned())]));
    let queries = board(&[&one, &other], &[&ann, &bob]).busy_queries(&requests);
    for needed in [(ann.id, hours(12, 13)), (bob.id, hours(10, 11))] {
        assert!(queries.contains(&needed), "{needed:?}");
    }
}
